// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricModelReader_h
#define cnnmetricModelReader_h

#include "cnnmetricModelInformation.h"

#include <onnxruntime_c_api.h>

namespace cnnmetric
{

/** Read and check the metadata and the tensor names of a loaded model; throws ModelError. */
ModelInformation
ReadModelInformation(const OrtSession & session, const std::string & path);

} // namespace cnnmetric

#endif
