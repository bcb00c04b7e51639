// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricModelFile.h"

#include "cnnmetricChecksum.h"
#include "cnnmetricError.h"
#include "cnnmetricOnnxFields.h"
#include "cnnmetricProtocolBuffer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

namespace cnnmetric
{

namespace
{

/** What is to be known of the numbers of a tensor. */
struct Content
{
  std::size_t count{};
  bool        hasNaN{};
  bool        hasInfinity{};
  bool        hasMinusOne{};

  template <typename TValue>
  void
  Add(const TValue value)
  {
    ++count;
    if constexpr (std::numeric_limits<TValue>::is_integer)
    {
      hasMinusOne = hasMinusOne || value == TValue(-1);
    }
    else
    {
      hasNaN = hasNaN || std::isnan(value);
      hasInfinity = hasInfinity || std::isinf(value);
    }
  }

  /** The bits of a float of 16 bits: infinite or NaN where the exponent is full. */
  void
  AddHalf(const std::uint16_t bits, const std::uint16_t exponent, const std::uint16_t fraction)
  {
    ++count;
    const bool isSpecial = (bits & exponent) == exponent;
    hasNaN = hasNaN || (isSpecial && (bits & fraction) != 0);
    hasInfinity = hasInfinity || (isSpecial && (bits & fraction) == 0);
  }
};

class ModelFile
{
public:
  explicit ModelFile(const std::string & path)
    : m_Path(path)
  {
  }

  void
  CheckGraph(const std::string_view graph, const unsigned int depth = 0)
  {
    if (depth > DeepestGraph)
    {
      throw ModelError("Model '" + m_Path + "' has graphs within graphs, more than " + std::to_string(DeepestGraph) +
                       " deep. " + Advice());
    }
    // Tensors first: nodes may come before them.
    ForEachField(graph, [this](const Field & field) {
      if (field.number == number::GraphInitializer)
      {
        CheckTensor(field.bytes, "");
      }
    });
    ForEachField(graph, [&](const Field & field) {
      if (field.number == number::GraphNode)
      {
        CheckNode(field.bytes, depth);
      }
    });
  }

  void
  CheckFunction(const std::string_view function)
  {
    ForEachField(function, [this](const Field & field) {
      if (field.number == number::FunctionNode)
      {
        CheckNode(field.bytes, 0);
      }
    });
  }

private:
  /** Graphs lie in the branches of an If, for example. */
  static constexpr unsigned int DeepestGraph = 64;

  void
  CheckNode(const std::string_view node, const unsigned int depth)
  {
    std::string_view              type;
    std::string_view              output;
    std::vector<std::string_view> inputs;
    ForEachField(node, [&](const Field & field) {
      if (field.number == number::NodeInput)
      {
        inputs.push_back(field.bytes);
      }
      else if (field.number == number::NodeOutput && output.empty())
      {
        output = field.bytes;
      }
      else if (field.number == number::NodeType)
      {
        type = field.bytes;
      }
    });
    if (type == "Loop" || type == "Scan")
    {
      // It may never end, and ONNX Runtime hears neither a signal nor a limit of time while it opens the file.
      throw ModelError("Model '" + m_Path + "' has a loop (an operator '" + std::string(type) +
                       "'), which may never end. Export the network without loops.");
    }
    ForEachField(node, [&](const Field & field) {
      if (field.number == number::NodeAttribute)
      {
        CheckAttribute(field.bytes, type == "Constant" ? output : std::string_view{}, depth);
      }
    });
    if ((type == "Div" || type == "Mod") && inputs.size() == 2 && m_MinusOnes.count(inputs[1]))
    {
      // The lowest whole number divided by -1 has no result, and the processor ends the process.
      throw ModelError("Model '" + m_Path + "' divides whole numbers by -1 ('" + std::string(inputs[1]) +
                       "'), which can end the process. " + Advice());
    }
  }

  void
  CheckAttribute(const std::string_view attribute, const std::string_view output, const unsigned int depth)
  {
    ForEachField(attribute, [&](const Field & field) {
      if (field.number == number::AttributeTensor || field.number == number::AttributeTensors)
      {
        CheckTensor(field.bytes, output);
      }
      else if (field.number == number::AttributeGraph || field.number == number::AttributeGraphs)
      {
        CheckGraph(field.bytes, depth + 1);
      }
    });
  }

  /** \param output name of what a constant returns; the tensor's own name if it is empty */
  void
  CheckTensor(const std::string_view tensor, const std::string_view output)
  {
    std::string_view name = output;
    std::uint64_t    type = 0;
    bool             isElsewhere = false;
    ForEachField(tensor, [&](const Field & field) {
      if (field.number == number::TensorType)
      {
        type = field.value;
      }
      else if (field.number == number::TensorName && name.empty())
      {
        name = field.bytes;
      }
      else if (field.number == number::TensorExternal)
      {
        isElsewhere = true;
      }
    });
    if (isElsewhere)
    {
      // The checksum would not cover it, and a file from somebody else could name any file here.
      throw ModelError("Model '" + m_Path + "' keeps the numbers of '" + std::string(name) +
                       "' in another file. Save it as one file, as `onnx.save` does by default.");
    }
    const Content content = Read(tensor, type);
    // A single infinity may be meant: as the bound of a Clip, for example.
    if (content.hasNaN || (content.hasInfinity && content.count > 1))
    {
      throw ModelError("Model '" + m_Path + "' holds " + (content.hasNaN ? "NaN" : "an infinite number") +
                       " among the numbers of '" + std::string(name) + "'. " + Advice());
    }
    if (content.hasMinusOne)
    {
      m_MinusOnes.insert(name);
    }
  }

  static Content
  Read(const std::string_view tensor, const std::uint64_t type)
  {
    Content    content;
    const auto add = [&content](const auto value) { content.Add(value); };
    ForEachField(tensor, [&](const Field & field) {
      const bool isRaw = field.number == number::TensorRaw;
      if (field.number == number::TensorFloats || (isRaw && type == number::Float))
      {
        ForEachValue<float>(field.bytes, add);
      }
      else if (field.number == number::TensorDoubles || (isRaw && type == number::Double))
      {
        ForEachValue<double>(field.bytes, add);
      }
      else if (isRaw && type == number::Float16)
      {
        ForEachValue<std::uint16_t>(field.bytes, [&](const auto bits) { content.AddHalf(bits, 0x7c00, 0x03ff); });
      }
      else if (isRaw && type == number::BFloat16)
      {
        ForEachValue<std::uint16_t>(field.bytes, [&](const auto bits) { content.AddHalf(bits, 0x7f80, 0x007f); });
      }
      else if (isRaw && type == number::Int32)
      {
        ForEachValue<std::int32_t>(field.bytes, add);
      }
      else if (isRaw && type == number::Int64)
      {
        ForEachValue<std::int64_t>(field.bytes, add);
      }
      else if ((field.number == number::TensorInt32s && type == number::Int32) ||
               (field.number == number::TensorInt64s && type == number::Int64))
      {
        AddWholeNumbers(field, type, content);
      }
    });
    return content;
  }

  /** Whole numbers of variable length: one, or many that are packed. */
  static void
  AddWholeNumbers(const Field & field, const std::uint64_t type, Content & content)
  {
    const auto add = [&](const std::uint64_t value) {
      if (type == number::Int32)
      {
        content.Add(static_cast<std::int32_t>(value));
      }
      else
      {
        content.Add(static_cast<std::int64_t>(value));
      }
    };
    if (field.bytes.empty())
    {
      add(field.value);
      return;
    }
    std::string_view rest = field.bytes;
    for (std::uint64_t value = 0; ReadVarint(rest, value); value = 0)
    {
      add(value);
    }
  }

  static std::string
  Advice()
  {
    return "The file is damaged, or the network did not train well; get it again, or export it again with "
           "`python -m cnnmetric.train`.";
  }

  std::string                m_Path;
  std::set<std::string_view> m_MinusOnes{};
};

} // namespace


std::string
ReadModelFile(const std::string & path)
{
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::string   bytes(static_cast<std::size_t>(std::max<std::streamoff>(file.tellg(), 0)), '\0');
  file.seekg(0);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
  {
    throw ModelError("Model file '" + path + "' cannot be read. Check its permissions.");
  }
  CheckChecksum(bytes, path);
  ModelFile model(path);
  ForEachField(bytes, [&model](const Field & field) {
    if (field.number == number::ModelGraph)
    {
      model.CheckGraph(field.bytes);
    }
    else if (field.number == number::ModelFunction)
    {
      model.CheckFunction(field.bytes);
    }
  });
  return bytes;
}

} // namespace cnnmetric
