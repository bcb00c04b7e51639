// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricModelFile_h
#define cnnmetricModelFile_h

#include <string>

namespace cnnmetric
{

/** Read a model file, and check checksum, numbers and operators before ONNX Runtime opens it; throws ModelError.
 *
 * With damaged numbers a network computes NaN or, behind a ReLU, wrong values without NaN. A division of whole numbers
 * by -1 can end the process, and a loop may never end: ONNX Runtime calculates with constants when it opens the file.
 * Its C API does not show the inside of a model, so the file itself is read (protocol buffers, onnx.proto). What is no
 * ONNX file passes, because ONNX Runtime has the better message for that. */
std::string
ReadModelFile(const std::string & path);

} // namespace cnnmetric

#endif
