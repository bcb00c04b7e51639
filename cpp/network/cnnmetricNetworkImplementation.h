// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricNetworkImplementation_h
#define cnnmetricNetworkImplementation_h

#include "cnnmetricDescribedModel.h"
#include "cnnmetricError.h"
#include "cnnmetricNetwork.h"
#include "cnnmetricOnnxRuntime.h"
#include "cnnmetricSession.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace cnnmetric
{

using Shape = std::vector<std::int64_t>;

/** An output of the graph, and where it goes. */
struct Output
{
  const char *         name{};
  std::vector<float> * values{};
  Shape                shape{};
};

inline Shape
InputShape(const Shape & blockShape)
{
  Shape shape{ 1, 2 };
  shape.insert(shape.end(), blockShape.begin(), blockShape.end());
  return shape;
}

inline std::int64_t
Product(const Shape & values)
{
  return std::accumulate(values.begin(), values.end(), std::int64_t{ 1 }, std::multiplies<std::int64_t>());
}

/** What of Network knows ONNX Runtime. */
struct Network::Implementation
{
  /** The model without the half that describes one image. */
  struct WithoutHalf
  {
    std::once_flag       opened{};
    onnxruntime::Session session{ nullptr, onnxruntime::Api().ReleaseSession };
    std::string          input{};
  };

  onnxruntime::Session               session{ nullptr, onnxruntime::Api().ReleaseSession };
  onnxruntime::Handle<OrtMemoryInfo> memoryInfo{ nullptr, onnxruntime::Api().ReleaseMemoryInfo };
  ModelInformation                   information{};
  std::string                        deviceReport{};
  std::string                        file{}; // its bytes, of models with descriptors
  unsigned int                       threadsPerCall{};
  int                                gpu{ -1 };
  mutable std::array<WithoutHalf, 2> halves{};

  /** The model that is given the descriptors of one image; without a session if ONNX Runtime does not take it. */
  const WithoutHalf &
  Without(const unsigned int image) const
  {
    WithoutHalf & half = halves[image];
    std::call_once(half.opened, [&] {
      DescribedModel model = TakeDescriptors(file, image);
      half.input = std::move(model.input);
      try
      {
        half.session = onnxruntime::OpenBytes(model.bytes, threadsPerCall, gpu);
      }
      catch (const Error &)
      {
        // A graph that cannot be cut there, of another exporter: it is evaluated as a whole.
      }
    });
    return half;
  }

  /** Whether there are descriptors, and few enough to keep those of a whole image: four numbers a voxel at most. Dense
   * ones of many channels would take gigabytes. */
  bool
  AreDescriptorsSmall() const
  {
    constexpr std::int64_t perVoxel = 4;
    const std::int64_t     voxels =
      Product(Shape(information.dimension, static_cast<std::int64_t>(information.stride))); // of a patch's own
    return information.descriptorChannels != 0 &&
           static_cast<std::int64_t>(information.descriptorChannels) <= perVoxel * voxels;
  }

  Shape
  DescriptorShape(const Shape & blockShape) const
  {
    Shape shape = MapShape(blockShape);
    shape[1] = information.descriptorChannels;
    return shape;
  }

  /** Shape of a tensor with one number per patch of a block. */
  Shape
  MapShape(const Shape & blockShape) const
  {
    Shape shape{ 1, 1 };
    std::transform(blockShape.begin(), blockShape.end(), std::back_inserter(shape), [this](const std::int64_t edge) {
      return (edge - information.receptiveField) / information.stride + 1;
    });
    return shape;
  }

  /** A tensor that is a view of the caller's numbers, so that nothing is copied. */
  onnxruntime::Handle<OrtValue>
  View(const void * const              data,
       const std::size_t               bytes,
       const Shape &                   shape,
       const ONNXTensorElementDataType type) const
  {
    OrtValue * value = nullptr;
    onnxruntime::Check(onnxruntime::Api().CreateTensorWithDataAsOrtValue(
      memoryInfo.get(), const_cast<void *>(data), bytes, shape.data(), shape.size(), type, &value));
    return onnxruntime::Handle<OrtValue>(value, onnxruntime::Api().ReleaseValue);
  }

  onnxruntime::Handle<OrtValue>
  View(const std::vector<float> & values, const Shape & shape) const
  {
    return View(values.data(), values.size() * sizeof(float), shape, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
  }

  /** Evaluate one block, and fill the outputs.
   * \param half the model without one half; nullptr for all of it
   * \param descriptors what that half would have computed */
  void
  Run(const Shape &               blockShape,
      const std::vector<float> &  patches,
      const std::vector<float> &  weights,
      const std::array<bool, 2> & wanted,
      const std::vector<Output> & outputs,
      const WithoutHalf * const   half = nullptr,
      const std::vector<float> *  descriptors = nullptr) const
  {
    const auto patchesValue = View(patches, InputShape(blockShape));
    const auto weightsValue = View(weights, MapShape(blockShape));
    const auto wantedValue = View(wanted.data(), sizeof(wanted), { 2 }, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL);
    std::vector<const char *>     inputNames{ "patches", "weights", "gradients_wanted" };
    std::vector<const OrtValue *> inputs{ patchesValue.get(), weightsValue.get(), wantedValue.get() };

    std::vector<onnxruntime::Handle<OrtValue>> views;
    if (half)
    {
      views.push_back(View(*descriptors, DescriptorShape(blockShape)));
      inputs.push_back(views.back().get());
      inputNames.push_back(half->input.c_str());
    }
    std::vector<OrtValue *>   values;
    std::vector<const char *> names;
    for (const Output & output : outputs)
    {
      views.push_back(View(*output.values, output.shape));
      values.push_back(views.back().get());
      names.push_back(output.name);
    }
    try
    {
      onnxruntime::Check(onnxruntime::Api().Run((half ? half->session : session).get(),
                                                nullptr,
                                                inputNames.data(),
                                                inputs.data(),
                                                inputs.size(),
                                                names.data(),
                                                names.size(),
                                                values.data()));
    }
    catch (const Error & error)
    {
      throw Error("ONNX Runtime failed to evaluate model '" + information.path + "': " + error.what());
    }
  }
};

} // namespace cnnmetric

#endif
