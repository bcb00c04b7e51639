// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricSession_h
#define cnnmetricSession_h

#include "cnnmetricOnnxRuntime.h"

#include <string>

namespace cnnmetric::onnxruntime
{

using Session = Handle<OrtSession>;

/** Number of the GPU: 0 for "cuda", 1 for "cuda:1", -1 for "auto" and "cpu". Throws Error for anything else. */
int
ParseDevice(const std::string & device);

/** Open a model file with our kernels. Throws ModelError if ONNX Runtime cannot read it. */
Session
OpenOnCpu(const std::string & path, unsigned int threadsPerCall);

/** Open a model file on a GPU. Throws Error if there is none that can be used. */
Session
OpenOnGpu(const std::string & path, unsigned int threadsPerCall, int deviceIndex);

/** Open the bytes of a model file.
 * \param gpu number of the GPU; negative for the CPU, with our kernels
 *
 * Throws Error if ONNX Runtime cannot read them. */
Session
OpenBytes(const std::string & bytes, unsigned int threadsPerCall, int gpu);

} // namespace cnnmetric::onnxruntime

#endif
