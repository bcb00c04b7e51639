// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricModelDirectory_h
#define cnnmetricModelDirectory_h

#include <string>

namespace cnnmetric
{

/** Tell where the models that are installed with the package lie. Called once, at import. */
void
SetModelDirectory(const std::string & directory);

/** "t1t2-fine" -> path of the installed model; a path stays what it is. Throws ModelError with the list of installed models. */
std::string
FindModel(const std::string & nameOrPath);

} // namespace cnnmetric

#endif
