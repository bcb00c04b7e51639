// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricSession.h"

#include "cnnmetricError.h"
#include "cnnmetricOperators.h"

#include <algorithm>

namespace cnnmetric::onnxruntime
{

namespace
{

using SessionOptions = Handle<OrtSessionOptions>;

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

/** Let the sessions of the CPU share one arena of memory, which grows by what is asked for: with one of its own, each
 * would keep what its largest block took, and up to as much again. Plans of where in one piece all tensors go would take
 * a piece for each session and shape. */
void
ShareMemory(OrtSessionOptions & options)
{
  Check(Api().AddSessionConfigEntry(&options, "session.use_env_allocators", "1"));
  Check(Api().DisableMemPattern(&options));
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

Session
OpenSession(const std::string & path, const OrtSessionOptions & options)
{
  OrtSession * created = nullptr;
  Check(Api().CreateSession(Environment(), path.c_str(), &options, &created));
  return Session(created, Api().ReleaseSession);
}

} // namespace


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
OpenBytes(const std::string & bytes, const unsigned int threadsPerCall, const int gpu)
{
  const SessionOptions options = MakeOptions(threadsPerCall);
  if (gpu < 0)
  {
    ShareMemory(*options);
    AddOperators(*options);
  }
  else
  {
    AddCuda(*options, gpu);
  }
  OrtSession * created = nullptr;
  Check(Api().CreateSessionFromArray(Environment(), bytes.data(), bytes.size(), options.get(), &created));
  return Session(created, Api().ReleaseSession);
}

Session
OpenOnCpu(const std::string & path, const unsigned int threadsPerCall)
{
  const SessionOptions options = MakeOptions(threadsPerCall);
  ShareMemory(*options);
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

} // namespace cnnmetric::onnxruntime
