// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricModelReader.h"

#include "cnnmetricError.h"
#include "cnnmetricOnnxRuntime.h"
#include "cnnmetricText.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <vector>

namespace cnnmetric
{

namespace
{

using namespace onnxruntime;

class MetadataReader
{
public:
  MetadataReader(const OrtSession & session, const std::string & path)
    : m_Path(path)
  {
    Check(Api().GetAllocatorWithDefaultOptions(&m_Allocator));
    OrtModelMetadata * metadata = nullptr;
    Check(Api().SessionGetModelMetadata(&session, &metadata));
    m_Metadata.reset(metadata);
  }

  std::string
  Text(const std::string & key) const
  {
    char * value = nullptr;
    Check(
      Api().ModelMetadataLookupCustomMetadataMap(m_Metadata.get(), m_Allocator, ("cnnmetric." + key).c_str(), &value));
    if (!value)
    {
      throw ModelError("Model '" + m_Path +
                       "' is an ONNX file but not one of cnnmetric: it lacks the metadata 'cnnmetric." + key +
                       "'. Export the network with `python -m cnnmetric.train`.");
    }
    std::string text = value;
    Check(Api().AllocatorFree(m_Allocator, value));
    return text;
  }

  double
  Number(const std::string & key) const
  {
    const std::string text = Text(key);
    const auto        number = ToNumber(text);
    if (!number)
    {
      throw ModelError(Damaged(key, text) + "a number");
    }
    return *number;
  }

  unsigned int
  WholeNumber(const std::string & key, unsigned int smallest) const
  {
    const double number = Number(key);
    if (number < smallest || number > 1e6 || number != std::floor(number))
    {
      throw ModelError(Damaged(key, Text(key)) + "a whole number of at least " + std::to_string(smallest));
    }
    return static_cast<unsigned int>(number);
  }

  std::string
  Damaged(const std::string & key, const std::string & text) const
  {
    return "Model '" + m_Path + "' has damaged metadata: 'cnnmetric." + key + "' is '" + text + "' but must be ";
  }

private:
  std::string              m_Path;
  OrtAllocator *           m_Allocator{};
  Handle<OrtModelMetadata> m_Metadata{ nullptr, Api().ReleaseModelMetadata };
};


/** Channels of the output of this number; 0 if the file leaves them open. */
unsigned int
ChannelsOfOutput(const OrtSession & session, const std::size_t output)
{
  OrtTypeInfo * type = nullptr;
  Check(Api().SessionGetOutputTypeInfo(&session, output, &type));
  const Handle<OrtTypeInfo>         owner(type, Api().ReleaseTypeInfo);
  const OrtTensorTypeAndShapeInfo * tensor = nullptr;
  Check(Api().CastTypeInfoToTensorInfo(type, &tensor));
  std::size_t axes = 0;
  if (tensor)
  {
    Check(Api().GetDimensionsCount(tensor, &axes));
  }
  std::vector<std::int64_t> edges(axes);
  if (axes > 1)
  {
    Check(Api().GetDimensions(tensor, edges.data(), axes));
  }
  constexpr std::int64_t most = 1 << 16;
  return axes > 1 && edges[1] > 0 && edges[1] <= most ? static_cast<unsigned int>(edges[1]) : 0;
}

/** Check the names of inputs and outputs.
 * \return the number of channels of the descriptors; 0 if there are none */
unsigned int
CheckTensorNames(const OrtSession & session, const std::string & path)
{
  OrtAllocator * allocator = nullptr;
  Check(Api().GetAllocatorWithDefaultOptions(&allocator));

  const auto names = [&](auto count, auto name) {
    std::size_t size = 0;
    Check(count(&session, &size));
    std::vector<std::string> found;
    for (std::size_t i = 0; i < size; ++i)
    {
      char * text = nullptr;
      Check(name(&session, i, allocator, &text));
      found.emplace_back(text);
      Check(Api().AllocatorFree(allocator, text));
    }
    return found;
  };
  const auto inputs = names(Api().SessionGetInputCount, Api().SessionGetInputName);
  const auto outputs = names(Api().SessionGetOutputCount, Api().SessionGetOutputName);
  const auto require = [&](const std::vector<std::string> & found, const char * const kind, const std::string & name) {
    if (std::find(found.begin(), found.end(), name) == found.end())
    {
      throw ModelError("Model '" + path + "' has no " + kind + " named '" + name +
                       "', which format version 1 requires. Export it again with `python -m cnnmetric.train`.");
    }
  };
  require(inputs, "input", "patches");
  require(inputs, "input", "weights");
  require(inputs, "input", "gradients_wanted");
  require(outputs, "output", "dissimilarity");
  require(outputs, "output", "gradient_first");
  require(outputs, "output", "gradient_second");

  const auto channels = [&](const char * const name) {
    const auto found = std::find(outputs.begin(), outputs.end(), name);
    return found == outputs.end()
             ? 0u
             : ChannelsOfOutput(session, static_cast<std::size_t>(std::distance(outputs.begin(), found)));
  };
  const unsigned int first = channels("descriptor_first");
  return first == channels("descriptor_second") ? first : 0u;
}

} // namespace


ModelInformation
ReadModelInformation(const OrtSession & session, const std::string & path)
{
  const MetadataReader reader(session, path);

  // The version comes first, because the other entries may have another meaning in a newer format.
  const unsigned int version = reader.WholeNumber("format_version", 1);
  if (version > ModelInformation::SupportedFormatVersion)
  {
    throw ModelError("Model '" + path + "' has format version " + std::to_string(version) +
                     "; this cnnmetric reads up to version " +
                     std::to_string(ModelInformation::SupportedFormatVersion) + ". Install a later cnnmetric");
  }

  ModelInformation information;
  information.path = path;
  information.dimension = reader.WholeNumber("dimension", 2);
  information.receptiveField = reader.WholeNumber("receptive_field", 1);
  information.stride = reader.WholeNumber("stride", 1);
  information.spacing = reader.Number("spacing");
  information.lowerQuantile = reader.Number("lower_quantile");
  information.upperQuantile = reader.Number("upper_quantile");

  const std::string modalities = reader.Text("modalities");
  const auto        comma = modalities.find(',');
  if (comma == std::string::npos || comma == 0 || comma + 1 == modalities.size() ||
      modalities.find(',', comma + 1) != std::string::npos)
  {
    throw ModelError(reader.Damaged("modalities", modalities) + "two names with a comma between them");
  }
  information.modalities = { modalities.substr(0, comma), modalities.substr(comma + 1) };

  if (information.dimension > 3)
  {
    throw ModelError(reader.Damaged("dimension", std::to_string(information.dimension)) + "2 or 3");
  }
  if (!(information.spacing > 0.0))
  {
    throw ModelError(reader.Damaged("spacing", reader.Text("spacing")) + "a positive number of mm");
  }
  if (!(0.0 <= information.lowerQuantile && information.lowerQuantile < information.upperQuantile &&
        information.upperQuantile <= 1.0))
  {
    throw ModelError("Model '" + path +
                     "' has damaged metadata: the intensity quantiles must satisfy 0 <= lower < upper <= 1.");
  }
  if (const std::string sign = reader.Text("sign"); sign != "dissimilarity")
  {
    throw ModelError(reader.Damaged("sign", sign) + "'dissimilarity'");
  }
  information.descriptorChannels = CheckTensorNames(session, path);
  return information;
}

} // namespace cnnmetric
