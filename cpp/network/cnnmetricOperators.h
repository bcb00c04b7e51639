// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricOperators_h
#define cnnmetricOperators_h

#include "cnnmetricOnnxRuntime.h"

namespace cnnmetric::onnxruntime
{

/** Make a session compute the functions of domain "cnnmetric" of a model file (docs/reference/model-format.md) by
 * SelfSimilarity. Without, it runs their bodies, of standard operators, as any other runtime does. */
void
AddOperators(OrtSessionOptions & options);

} // namespace cnnmetric::onnxruntime

#endif
