// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricDescribedModel_h
#define cnnmetricDescribedModel_h

#include <string>

namespace cnnmetric
{

/** A model that is given the descriptors of one image, and does not compute them.
 *
 * Of an image that stays the same from one evaluation to the next, they need to be computed once. */
struct DescribedModel
{
  std::string bytes{}; ///< of an ONNX file, without checksum
  std::string input{}; ///< name of the input for the descriptors
};

/** Cut the graph of a model file where the descriptors of one image are known.
 * \param bytes of the file, which has descriptors
 * \param image 0 or 1: what is described; the gradient by the other image stays an output */
DescribedModel
TakeDescriptors(const std::string & bytes, unsigned int image);

} // namespace cnnmetric

#endif
