// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricChecksum_h
#define cnnmetricChecksum_h

#include <string>
#include <string_view>

namespace cnnmetric
{

/** Check that the bytes of a model file are those that were written (docs/reference/model-format.md, "Checksum"); throws
 * ModelError. A file without a checksum passes.
 * \param path for the message */
void
CheckChecksum(std::string_view bytes, const std::string & path);

} // namespace cnnmetric

#endif
