// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricOnnxFields_h
#define cnnmetricOnnxFields_h

#include <cstdint>

namespace cnnmetric
{

/** Numbers of onnx.proto, which names the fields and the types of tensors. */
namespace number
{
inline constexpr unsigned int  ModelGraph = 7;
inline constexpr unsigned int  ModelFunction = 25;
inline constexpr unsigned int  FunctionNode = 7;
inline constexpr unsigned int  GraphNode = 1;
inline constexpr unsigned int  GraphInitializer = 5;
inline constexpr unsigned int  GraphInput = 11;
inline constexpr unsigned int  GraphOutput = 12;
inline constexpr unsigned int  GraphValue = 13;
inline constexpr unsigned int  ValueName = 1;
inline constexpr unsigned int  ValueType = 2;
inline constexpr unsigned int  NodeInput = 1;
inline constexpr unsigned int  NodeOutput = 2;
inline constexpr unsigned int  NodeType = 4;
inline constexpr unsigned int  NodeAttribute = 5;
inline constexpr unsigned int  AttributeTensor = 5;
inline constexpr unsigned int  AttributeGraph = 6;
inline constexpr unsigned int  AttributeTensors = 10;
inline constexpr unsigned int  AttributeGraphs = 11;
inline constexpr unsigned int  TensorType = 2;
inline constexpr unsigned int  TensorFloats = 4;
inline constexpr unsigned int  TensorInt32s = 5;
inline constexpr unsigned int  TensorInt64s = 7;
inline constexpr unsigned int  TensorName = 8;
inline constexpr unsigned int  TensorRaw = 9;
inline constexpr unsigned int  TensorDoubles = 10;
inline constexpr unsigned int  TensorExternal = 13;
inline constexpr std::uint64_t Float = 1;
inline constexpr std::uint64_t Int32 = 6;
inline constexpr std::uint64_t Int64 = 7;
inline constexpr std::uint64_t Float16 = 10;
inline constexpr std::uint64_t Double = 11;
inline constexpr std::uint64_t BFloat16 = 16;
} // namespace number

} // namespace cnnmetric

#endif
