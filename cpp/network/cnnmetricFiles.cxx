// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricFiles.h"

#include <dirent.h>

#include <fstream>
#include <memory>

namespace cnnmetric
{

namespace
{

using Folder = std::unique_ptr<DIR, int (*)(DIR *)>;

Folder
OpenFolder(const std::string & path)
{
  return Folder(opendir(path.c_str()), closedir);
}

} // namespace


std::vector<std::string>
ListFolder(const std::string & path)
{
  std::vector<std::string> names;
  if (const Folder folder = OpenFolder(path))
  {
    while (const dirent * const entry = readdir(folder.get()))
    {
      names.emplace_back(entry->d_name);
    }
  }
  return names;
}

bool
IsFile(const std::string & path)
{
  // A folder can be opened as a file, too.
  return !OpenFolder(path) && std::ifstream(path).good();
}

} // namespace cnnmetric
