// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricNetwork.h"

#include "cnnmetricError.h"
#include "cnnmetricFiles.h"
#include "cnnmetricModelFile.h"
#include "cnnmetricModelReader.h"
#include "cnnmetricOnnxRuntime.h"
#include "cnnmetricSession.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <random>

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

using Shape = std::vector<std::int64_t>;

/** An output of the graph, and where it goes. */
struct Output
{
  const char *         name{};
  std::vector<float> * values{};
  Shape                shape{};
};

Shape
InputShape(const Shape & blockShape)
{
  Shape shape{ 1, 2 };
  shape.insert(shape.end(), blockShape.begin(), blockShape.end());
  return shape;
}

std::int64_t
Product(const Shape & values)
{
  return std::accumulate(values.begin(), values.end(), std::int64_t{ 1 }, std::multiplies<std::int64_t>());
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


struct Network::Implementation
{
  Session               session{ nullptr, Api().ReleaseSession };
  Handle<OrtMemoryInfo> memoryInfo{ nullptr, Api().ReleaseMemoryInfo };
  ModelInformation      information{};
  std::string           deviceReport{};

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
  Handle<OrtValue>
  View(const void * const              data,
       const std::size_t               bytes,
       const Shape &                   shape,
       const ONNXTensorElementDataType type) const
  {
    OrtValue * value = nullptr;
    Check(Api().CreateTensorWithDataAsOrtValue(
      memoryInfo.get(), const_cast<void *>(data), bytes, shape.data(), shape.size(), type, &value));
    return Handle<OrtValue>(value, Api().ReleaseValue);
  }

  Handle<OrtValue>
  View(const std::vector<float> & values, const Shape & shape) const
  {
    return View(values.data(), values.size() * sizeof(float), shape, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
  }

  /** Evaluate one block, and fill the outputs. */
  void
  Run(const Shape &               blockShape,
      const std::vector<float> &  patches,
      const std::vector<float> &  weights,
      const std::array<bool, 2> & wanted,
      const std::vector<Output> & outputs) const
  {
    const auto patchesValue = View(patches, InputShape(blockShape));
    const auto weightsValue = View(weights, MapShape(blockShape));
    const auto wantedValue = View(wanted.data(), sizeof(wanted), { 2 }, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL);
    const std::array<const char *, 3>     inputNames{ "patches", "weights", "gradients_wanted" };
    const std::array<const OrtValue *, 3> inputs{ patchesValue.get(), weightsValue.get(), wantedValue.get() };

    std::vector<Handle<OrtValue>> views;
    std::vector<OrtValue *>       values;
    std::vector<const char *>     names;
    for (const Output & output : outputs)
    {
      views.push_back(View(*output.values, output.shape));
      values.push_back(views.back().get());
      names.push_back(output.name);
    }
    try
    {
      Check(Api().Run(session.get(),
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

  CheckModelFile(path);
  // The file is always opened on the CPU first, so that a damaged file is not taken for a missing GPU.
  auto & self = *m_Implementation;
  self.session = OpenOnCpu(path, threadsPerCall);
  self.information = ReadModelInformation(*self.session, path);
  self.deviceReport = "CPU, ONNX Runtime " + Version();
  if (device != "cpu")
  {
    const int index = std::max(deviceIndex, 0);
    try
    {
      self.session = OpenOnGpu(path, threadsPerCall, index);
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
                  const Gradients &                 gradients) const
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
  self.Run(blockShape, patches, weights, { gradients[0] != nullptr, gradients[1] != nullptr }, outputs);
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
