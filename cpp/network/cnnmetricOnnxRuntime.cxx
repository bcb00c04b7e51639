// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricOnnxRuntime.h"

#include "cnnmetricError.h"

#include <dlfcn.h>

#include <algorithm>
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

namespace
{

/** Give the environment an arena on the CPU that grows by what is asked for, and not to the next power of 2. */
void
RegisterArena(OrtEnv & environment)
{
  OrtMemoryInfo * memory = nullptr;
  Check(Api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  const Handle<OrtMemoryInfo> memoryOwner(memory, Api().ReleaseMemoryInfo);
  constexpr int               asRequested = 1;
  constexpr int               byDefault = -1;
  OrtArenaCfg *               arena = nullptr;
  Check(Api().CreateArenaCfg(0, asRequested, byDefault, byDefault, &arena));
  const Handle<OrtArenaCfg> arenaOwner(arena, Api().ReleaseArenaCfg);
  // Fails where the process, which has one environment, has an arena already: that one is as good.
  Api().ReleaseStatus(Api().CreateAndRegisterAllocator(&environment, memory, arena));
}

} // namespace

OrtEnv *
Environment()
{
  static OrtEnv * const environment = [] {
    OrtEnv * created = nullptr;
    // Failures come back as texts, which Check() passes on, so ONNX Runtime need not print them as well.
    Check(Api().CreateEnv(ORT_LOGGING_LEVEL_FATAL, "cnnmetric", &created));
    RegisterArena(*created);
    return created;
  }();
  return environment;
}

std::string
WithoutPlaces(std::string text)
{
  const std::string root = "/onnxruntime_src/";
  std::size_t       begin = 0;
  while ((begin = text.find(root, begin)) != std::string::npos)
  {
    // "/onnxruntime_src/a/b.cc:7 void a::B::C(const D &, E) const " and then what happened.
    std::size_t end = text.find('(', begin);
    while (end < text.size() && text[end] == '(') // twice for an operator()
    {
      int depth = 0;
      do
      {
        depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
        ++end;
      } while (end < text.size() && depth > 0);
    }
    end = std::min(end, text.size());
    for (const std::string & more : { std::string(" const"), std::string(" ") })
    {
      end += text.compare(end, more.size(), more) == 0 ? more.size() : 0;
    }
    text.erase(begin, end - begin);
  }
  text.erase(text.find_last_not_of(" \n") + 1);
  return text;
}

void
Check(OrtStatus * status)
{
  if (status)
  {
    const std::string message = Api().GetErrorMessage(status);
    Api().ReleaseStatus(status);
    throw Error(WithoutPlaces(message));
  }
}

} // namespace cnnmetric::onnxruntime
