// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricFiles_h
#define cnnmetricFiles_h

#include <string>
#include <vector>

namespace cnnmetric
{

// Not std::filesystem: it is in no libstdc++ that goes with glibc 2.28, with which our libraries have to load.

/** The names in a folder; none if it cannot be read. */
std::vector<std::string>
ListFolder(const std::string & path);

/** Whether there is a file that can be read, and that is no folder. */
bool
IsFile(const std::string & path);

} // namespace cnnmetric

#endif
