// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricModelDirectory_h
#define cnnmetricModelDirectory_h

#include <string>

namespace cnnmetric
{

/** Set the folder of the models that are installed with the package. Called once, at import. */
void
SetModelDirectory(const std::string & directory);

/** The path of a model: of the installed one for a name, for example "t1t2-fine"; a path is returned as it is. Throws
 * ModelError, with the list of installed models, for another name. */
std::string
FindModel(const std::string & nameOrPath);

} // namespace cnnmetric

#endif
