// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricOnnxRuntime_h
#define cnnmetricOnnxRuntime_h

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>

namespace cnnmetric::onnxruntime
{

/** The lowest version of the C API that has what we call (ONNX Runtime 1.17): a runtime may be newer, never older. */
inline constexpr unsigned int ApiVersion = 17;

/** Load the shared library; later calls with any path are ignored. Throws cnnmetric::Error. */
void
LoadLibrary(const std::string & path);

/** The function table of the loaded library. Throws cnnmetric::Error when none has been loaded. */
const OrtApi &
Api();

/** Version text of the loaded library, empty when none has been loaded. */
std::string
Version();

/** The one environment of this process; ONNX Runtime allows no second one. */
OrtEnv *
Environment();

/** Throw cnnmetric::Error with ONNX Runtime's own words when status reports a failure; frees the status. */
void
Check(OrtStatus * status);

/** Owns an object of the C API and gives it back with the matching Release function. */
template <typename T>
using Handle = std::unique_ptr<T, void (*)(T *)>;

} // namespace cnnmetric::onnxruntime

#endif
