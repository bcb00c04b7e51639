// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricNetwork.h"

#include "cnnmetricError.h"
#include "cnnmetricFiles.h"
#include "cnnmetricModelFile.h"
#include "cnnmetricModelReader.h"
#include "cnnmetricOnnxRuntime.h"
#include "cnnmetricOperators.h"

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

using SessionOptions = Handle<OrtSessionOptions>;
using Session = Handle<OrtSession>;

SessionOptions
MakeOptions(const unsigned int threadsPerCall)
{
  OrtSessionOptions * created = nullptr;
  Check(Api().CreateSessionOptions(&created));
  SessionOptions options(created, Api().ReleaseSessionOptions);
  Check(Api().SetIntraOpNumThreads(options.get(), static_cast<int>(threadsPerCall)));
  Check(Api().SetInterOpNumThreads(options.get(), 1));
  Check(Api().SetSessionGraphOptimizationLevel(options.get(), ORT_ENABLE_ALL));
  // Threads that spin while they wait would steal the cores from the warp, which runs between two calls.
  Check(Api().AddSessionConfigEntry(options.get(), "session.intra_op.allow_spinning", "0"));
  return options;
}

void
AddCuda(OrtSessionOptions & options, const int deviceIndex)
{
  OrtCUDAProviderOptionsV2 * created = nullptr;
  Check(Api().CreateCUDAProviderOptions(&created));
  const Handle<OrtCUDAProviderOptionsV2> cuda(created, Api().ReleaseCUDAProviderOptions);
  const std::string                      index = std::to_string(deviceIndex);
  const char * const                     key = "device_id";
  const char * const                     value = index.c_str();
  Check(Api().UpdateCUDAProviderOptions(cuda.get(), &key, &value, 1));
  Check(Api().SessionOptionsAppendExecutionProvider_CUDA_V2(&options, cuda.get()));
}

/** Number of the GPU: 0 for "cuda", 1 for "cuda:1", -1 for "auto" and "cpu". Throws Error for anything else. */
int
ParseDevice(const std::string & device)
{
  if (device == "auto" || device == "cpu")
  {
    return -1;
  }
  if (device == "cuda")
  {
    return 0;
  }
  const std::string prefix = "cuda:";
  const std::string digits = device.substr(std::min(device.size(), prefix.size()));
  if (device.compare(0, prefix.size(), prefix) != 0 || digits.empty() || digits.size() > 3 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
  {
    throw Error(
      "Device '" + device +
      "' is not known. CNNMetricDevice must be \"auto\", \"cpu\" or \"cuda:N\" with N the number of the GPU.");
  }
  return std::stoi(digits);
}

Session
OpenSession(const std::string & path, const OrtSessionOptions & options)
{
  OrtSession * created = nullptr;
  Check(Api().CreateSession(Environment(), path.c_str(), &options, &created));
  return Session(created, Api().ReleaseSession);
}

Session
OpenOnCpu(const std::string & path, const unsigned int threadsPerCall)
{
  const SessionOptions options = MakeOptions(threadsPerCall);
  AddOperators(*options);
  try
  {
    return OpenSession(path, *options);
  }
  catch (const Error & error)
  {
    throw ModelError(
      "Model '" + path +
      "' is not a readable ONNX file (truncated, or of another kind). ONNX Runtime says: " + error.what());
  }
}

Session
OpenOnGpu(const std::string & path, const unsigned int threadsPerCall, const int deviceIndex)
{
  const SessionOptions options = MakeOptions(threadsPerCall);
  AddCuda(*options, deviceIndex);
  return OpenSession(path, *options);
}

/** The beginning of a text, without line breaks, for a line of the log. ONNX Runtime's messages have several lines. */
std::string
InOneLine(std::string text)
{
  constexpr std::size_t longest = 200;
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

std::int64_t
Product(const std::vector<std::int64_t> & values)
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
                    " Install onnxruntime-gpu and a matching driver, or use \"auto\" or \"cpu\".");
      }
      self.deviceReport += " (\"auto\": no usable CUDA device: " + InOneLine(reason) + ")";
    }
  }
  OrtMemoryInfo * memoryInfo = nullptr;
  Check(Api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memoryInfo));
  self.memoryInfo.reset(memoryInfo);
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

  std::vector<std::int64_t> inputShape{ 1, 2 };
  std::vector<std::int64_t> patchShape{ 1, 1 };
  for (const std::int64_t edge : blockShape)
  {
    inputShape.push_back(edge);
    patchShape.push_back((edge - self.information.receptiveField) / self.information.stride + 1);
  }
  dissimilarity.resize(static_cast<std::size_t>(Product(patchShape)));

  // The tensors are views of the caller's vectors, so nothing is copied.
  const auto viewBytes = [&self](const void *                      data,
                                 const std::size_t                 bytes,
                                 const std::vector<std::int64_t> & shape,
                                 const ONNXTensorElementDataType   type) {
    OrtValue * value = nullptr;
    Check(Api().CreateTensorWithDataAsOrtValue(
      self.memoryInfo.get(), const_cast<void *>(data), bytes, shape.data(), shape.size(), type, &value));
    return Handle<OrtValue>(value, Api().ReleaseValue);
  };
  const auto view = [&viewBytes](const std::vector<float> & values, const std::vector<std::int64_t> & shape) {
    return viewBytes(values.data(), values.size() * sizeof(float), shape, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
  };
  const std::array<bool, 2> wanted{ gradients[0] != nullptr, gradients[1] != nullptr };
  const auto                patchesValue = view(patches, inputShape);
  const auto                weightsValue = view(weights, patchShape);
  const auto wantedValue = viewBytes(wanted.data(), sizeof(wanted), { 2 }, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL);

  std::vector<Handle<OrtValue>> outputValues;
  std::vector<const char *>     outputNames{ "dissimilarity" };
  outputValues.push_back(view(dissimilarity, patchShape));
  std::vector<std::int64_t> gradientShape = inputShape;
  gradientShape[1] = 1;
  for (unsigned int image = 0; image < gradients.size(); ++image)
  {
    if (gradients[image])
    {
      gradients[image]->resize(patches.size() / 2);
      outputValues.push_back(view(*gradients[image], gradientShape));
      outputNames.push_back(image == 0 ? "gradient_first" : "gradient_second");
    }
  }
  std::vector<OrtValue *> outputs;
  std::transform(outputValues.begin(), outputValues.end(), std::back_inserter(outputs), [](const auto & value) {
    return value.get();
  });

  const std::array<const char *, 3>     inputNames{ "patches", "weights", "gradients_wanted" };
  const std::array<const OrtValue *, 3> inputs{ patchesValue.get(), weightsValue.get(), wantedValue.get() };
  try
  {
    Check(Api().Run(self.session.get(),
                    nullptr,
                    inputNames.data(),
                    inputs.data(),
                    inputs.size(),
                    outputNames.data(),
                    outputs.size(),
                    outputs.data()));
  }
  catch (const Error & error)
  {
    throw Error("ONNX Runtime failed to evaluate model '" + self.information.path + "': " + error.what());
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

} // namespace cnnmetric
