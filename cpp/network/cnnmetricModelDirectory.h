// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricModelDirectory_h
#define cnnmetricModelDirectory_h

#include <string>
#include <vector>

namespace cnnmetric
{

/** Set the folders that hold installed models: of two with one name, that of the first folder counts. Called at
 * import, and when a model has been added. */
void
SetModelDirectories(const std::vector<std::string> & directories);

/** The path of a model: of the installed one for a name, for example "any"; a path is returned as it is. Throws
 * ModelError, with the list of installed models, for another name. */
std::string
FindModel(const std::string & nameOrPath);

} // namespace cnnmetric

#endif
