// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricNetwork.h"

#include "cnnmetricError.h"
#include "cnnmetricFiles.h"
#include "cnnmetricModelFile.h"
#include "cnnmetricModelReader.h"
#include "cnnmetricNetworkImplementation.h"
#include "cnnmetricOnnxRuntime.h"
#include "cnnmetricSession.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace cnnmetric
{

namespace
{

using namespace onnxruntime;

/** The beginning of a text, without line breaks, for a line of the log. ONNX Runtime's messages have several lines. */
std::string
InOneLine(std::string text)
{
  constexpr std::size_t longest = 200;
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

/** Throw Error if one of the numbers is NaN or infinite.
 * \param what for the message, for example "gradients" */
void
CheckFinite(const std::vector<float> & values, const std::string & what, const std::string & path)
{
  if (!std::all_of(values.begin(), values.end(), [](const float value) { return std::isfinite(value); }))
  {
    throw Error("Model '" + path + "' returned " + what +
                " that are NaN or infinite. Its file is damaged, the network did not train well, or weights of "
                "patches are out of range. Get the file again, or use another model.");
  }
}

} // namespace


void
Network::UseRuntimeLibrary(const std::string & path)
{
  LoadLibrary(path);
}

std::string
Network::GetRuntimeVersion()
{
  return Version();
}

Network::Network(const std::string & path, const std::string & device, const unsigned int threadsPerCall)
  : m_Implementation(std::make_unique<Implementation>())
{
  const int deviceIndex = ParseDevice(device);
  if (!IsFile(path))
  {
    throw ModelError("Model file '" + path +
                     "' does not exist. Give the name of an installed model or the path of an .onnx file.");
  }

  std::string file = ReadModelFile(path);
  // The file is always opened on the CPU first, so that a damaged file is not taken for a missing GPU.
  auto & self = *m_Implementation;
  self.threadsPerCall = threadsPerCall;
  self.session = OpenOnCpu(path, threadsPerCall);
  self.information = ReadModelInformation(*self.session, path);
  if (self.information.descriptorChannels != 0)
  {
    self.file = std::move(file);
  }
  self.deviceReport = "CPU, ONNX Runtime " + Version();
  if (device != "cpu")
  {
    const int index = std::max(deviceIndex, 0);
    try
    {
      self.session = OpenOnGpu(path, threadsPerCall, index);
      self.gpu = index;
      self.deviceReport = "CUDA device " + std::to_string(index) + ", ONNX Runtime " + Version();
    }
    catch (const Error & error)
    {
      const std::string reason = error.what();
      if (device != "auto")
      {
        throw Error("CUDA device '" + device + "' was asked for but cannot be used: " + reason +
                    (reason.empty() || reason.back() != '.' ? "." : "") +
                    " Install onnxruntime-gpu and a matching driver, or use \"auto\" or \"cpu\".");
      }
      self.deviceReport += " (\"auto\": no usable CUDA device: " + InOneLine(reason) + ")";
    }
  }
  OrtMemoryInfo * memoryInfo = nullptr;
  Check(Api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memoryInfo));
  self.memoryInfo.reset(memoryInfo);
  CheckSizes();
}

void
Network::CheckSizes() const
{
  const ModelInformation & model = GetInformation();
  try
  {
    for (const unsigned int more : { 0u, model.stride })
    {
      const std::vector<std::int64_t> shape(model.dimension, model.receptiveField + more);
      constexpr std::int64_t          most = 1 << 27; // 512 voxels an axis
      if (Product(shape) > most)
      {
        throw Error("No network of this kind has as large ones.");
      }
      const std::vector<float> patches(2 * static_cast<std::size_t>(Product(shape)), 0.5f);
      const Shape              map = m_Implementation->MapShape(shape);
      const std::vector<float> weights(static_cast<std::size_t>(Product(map)), 1.0f);
      std::vector<float>       dissimilarity(weights.size());
      m_Implementation->Run(shape, patches, weights, { false, false }, { { "dissimilarity", &dissimilarity, map } });
    }
  }
  catch (const Error & error)
  {
    throw ModelError("Model '" + model.path + "' cannot be evaluated with the receptive field of " +
                     std::to_string(model.receptiveField) + " and the stride of " + std::to_string(model.stride) +
                     " voxels that its metadata name. Its file is damaged, or they are wrong; export it again. " +
                     error.what());
  }
}

Network::~Network() = default;

const ModelInformation &
Network::GetInformation() const
{
  return m_Implementation->information;
}

unsigned int
Network::FindFixedChannel(const std::string & fixedModality, std::string & warning) const
{
  const ModelInformation & model = GetInformation();
  warning.clear();
  if (const auto channel = model.FindFixedChannel(fixedModality))
  {
    return *channel;
  }
  const std::string unknown = "CNNMetricFixedModality \"" + fixedModality + "\" is not a modality of model '" +
                              model.path + "', which compares \"" + model.modalities[0] + "\" and \"" +
                              model.modalities[1] + "\". ";
  if (!IsSymmetric())
  {
    throw Error(unknown + "Name the one that the fixed image is.");
  }
  warning = unknown +
            "The model treats both images alike, so the registration goes on; check that the model is made for "
            "images of this kind.";
  return 0;
}

bool
Network::IsSymmetric() const
{
  const ModelInformation &        model = GetInformation();
  const std::vector<std::int64_t> shape(model.dimension, model.receptiveField);
  const auto                      size = static_cast<std::size_t>(Product(shape));
  std::vector<float>              patches(2 * size);
  std::mt19937                    generator; // the standard fixes its numbers
  std::generate(patches.begin(), patches.end(), [&] { return static_cast<float>(generator()) / 4294967296.0f; });
  std::vector<float> swapped = patches;
  std::rotate(swapped.begin(), swapped.begin() + static_cast<std::ptrdiff_t>(size), swapped.end());

  std::vector<float> dissimilarity;
  std::vector<float> ofSwapped;
  Evaluate(shape, patches, { 1.0f }, dissimilarity, {});
  Evaluate(shape, swapped, { 1.0f }, ofSwapped, {});
  constexpr float rounding = 1e-4f;
  return std::abs(dissimilarity[0] - ofSwapped[0]) <= rounding * std::abs(dissimilarity[0]);
}

const std::string &
Network::GetDeviceReport() const
{
  return m_Implementation->deviceReport;
}

void
Network::Evaluate(const std::vector<std::int64_t> & blockShape,
                  const std::vector<float> &        patches,
                  const std::vector<float> &        weights,
                  std::vector<float> &              dissimilarity,
                  const Gradients &                 gradients,
                  KeptDescriptors *                 kept) const
{
  const auto & self = *m_Implementation;
  const Shape  map = self.MapShape(blockShape);
  dissimilarity.resize(static_cast<std::size_t>(Product(map)));
  std::vector<Output> outputs{ { "dissimilarity", &dissimilarity, map } };
  Shape               gradientShape = InputShape(blockShape);
  gradientShape[1] = 1;
  for (unsigned int image = 0; image < gradients.size(); ++image)
  {
    if (gradients[image])
    {
      gradients[image]->resize(patches.size() / 2);
      outputs.push_back({ image == 0 ? "gradient_first" : "gradient_second", gradients[image], gradientShape });
    }
  }
  if (!self.AreDescriptorsSmall() || (gradients[0] != nullptr) == (gradients[1] != nullptr))
  {
    kept = nullptr;
  }
  const unsigned int                  still = gradients[0] ? 1 : 0;
  const Implementation::WithoutHalf * half = nullptr;
  std::vector<float>                  found;
  if (kept)
  {
    const Shape shape = self.DescriptorShape(blockShape);
    const auto  size = static_cast<std::size_t>(Product(shape));
    if (!*kept)
    {
      found.resize(size);
      outputs.push_back({ still == 0 ? "descriptor_first" : "descriptor_second", &found, shape });
    }
    else if ((*kept)->size() != size)
    {
      throw Error("The descriptors that were kept are of a block of another shape.");
    }
    else if (self.Without(still).session)
    {
      half = &self.Without(still);
    }
  }
  const std::array<bool, 2> wanted{ gradients[0] != nullptr, gradients[1] != nullptr };
  self.Run(blockShape, patches, weights, wanted, outputs, half, half ? kept->get() : nullptr);
  if (!found.empty())
  {
    *kept = std::make_shared<const std::vector<float>>(std::move(found));
  }
  CheckFinite(dissimilarity, "dissimilarities", self.information.path);
  for (const auto * const gradient : gradients)
  {
    if (gradient)
    {
      CheckFinite(*gradient, "gradients", self.information.path);
    }
  }
}

void
Network::Describe(const std::vector<std::int64_t> &   blockShape,
                  const std::vector<float> &          patches,
                  std::array<std::vector<float>, 2> & descriptors) const
{
  const auto & self = *m_Implementation;
  if (self.information.descriptorChannels == 0)
  {
    throw Error("Model '" + self.information.path + "' has no descriptors of single images.");
  }
  Shape                    shape = self.MapShape(blockShape);
  const std::vector<float> weights(static_cast<std::size_t>(Product(shape)));
  shape[1] = self.information.descriptorChannels;
  for (auto & values : descriptors)
  {
    values.resize(static_cast<std::size_t>(Product(shape)));
  }
  self.Run(blockShape,
           patches,
           weights,
           { false, false },
           { { "descriptor_first", &descriptors[0], shape }, { "descriptor_second", &descriptors[1], shape } });
  for (const auto & values : descriptors)
  {
    CheckFinite(values, "descriptors", self.information.path);
  }
}

} // namespace cnnmetric
