// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricOnnxRuntime_h
#define cnnmetricOnnxRuntime_h

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>

namespace cnnmetric::onnxruntime
{

/** The lowest version of the C API that has all functions in use here (ONNX Runtime 1.17). A newer runtime offers it as
 * well; an older one does not. */
inline constexpr unsigned int ApiVersion = 17;

/** Load the shared library. Later calls do nothing, whatever the path. Throws cnnmetric::Error. */
void
LoadLibrary(const std::string & path);

/** The function table of the loaded library. Throws cnnmetric::Error if none is loaded. */
const OrtApi &
Api();

/** Version of the loaded library, for example "1.23.2"; empty if none is loaded. */
std::string
Version();

/** The environment, of which ONNX Runtime has one per process. */
OrtEnv *
Environment();

/** A text of ONNX Runtime without the places in its own sources, which are C++ to whoever reads it. */
std::string
WithoutPlaces(std::string text);

/** Throw cnnmetric::Error with ONNX Runtime's own text, without places, if the status reports a failure. Frees the status. */
void
Check(OrtStatus * status);

/** Owns an object of the C API and gives it back with the matching Release function. */
template <typename T>
using Handle = std::unique_ptr<T, void (*)(T *)>;

} // namespace cnnmetric::onnxruntime

#endif
