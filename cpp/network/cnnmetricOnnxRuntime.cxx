// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricOnnxRuntime.h"

#include "cnnmetricError.h"

#include <dlfcn.h>

#include <atomic>
#include <mutex>

namespace cnnmetric::onnxruntime
{

namespace
{
std::atomic<const OrtApi *> loadedApi{ nullptr };
std::string                 loadedVersion;
} // namespace

void
LoadLibrary(const std::string & path)
{
  static std::mutex                 mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (loadedApi.load())
  {
    return;
  }
  // RTLD_LOCAL: another package in this process may carry an ONNX Runtime of its own.
  void * const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
  {
    throw Error("ONNX Runtime could not be loaded from '" + path + "': " + dlerror() +
                ". Reinstall it with: pip install --force-reinstall onnxruntime-gpu");
  }
  using GetApiBaseFunction = const OrtApiBase * (*)();
  const auto getApiBase = reinterpret_cast<GetApiBaseFunction>(dlsym(library, "OrtGetApiBase"));
  if (!getApiBase)
  {
    throw Error("'" + path + "' is not an ONNX Runtime library (it has no OrtGetApiBase).");
  }
  const OrtApiBase * const base = getApiBase();
  const OrtApi * const     api = base->GetApi(ApiVersion);
  if (!api)
  {
    throw Error("ONNX Runtime " + std::string(base->GetVersionString()) + " is too old: cnnmetric needs 1." +
                std::to_string(ApiVersion) + " or later. Upgrade it with: pip install --upgrade onnxruntime-gpu");
  }
  loadedVersion = base->GetVersionString();
  loadedApi.store(api);
}

const OrtApi &
Api()
{
  const OrtApi * const api = loadedApi.load();
  if (!api)
  {
    throw Error("ONNX Runtime has not been loaded; `import cnnmetric` does that.");
  }
  return *api;
}

std::string
Version()
{
  return loadedApi.load() ? loadedVersion : std::string{};
}

OrtEnv *
Environment()
{
  static OrtEnv * const environment = [] {
    OrtEnv * created = nullptr;
    // Failures come back as texts, which Check() passes on, so ONNX Runtime need not print them as well.
    Check(Api().CreateEnv(ORT_LOGGING_LEVEL_FATAL, "cnnmetric", &created));
    return created;
  }();
  return environment;
}

void
Check(OrtStatus * status)
{
  if (status)
  {
    const std::string message = Api().GetErrorMessage(status);
    Api().ReleaseStatus(status);
    throw Error(message);
  }
}

} // namespace cnnmetric::onnxruntime
