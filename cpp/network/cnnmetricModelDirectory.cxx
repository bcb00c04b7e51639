// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricModelDirectory.h"

#include "cnnmetricError.h"

#include <filesystem>
#include <set>

namespace cnnmetric
{

namespace
{

std::vector<std::filesystem::path> &
ModelDirectories()
{
  static std::vector<std::filesystem::path> directories;
  return directories;
}

std::string
ListInstalledModels()
{
  std::set<std::string> names;
  for (const auto & directory : ModelDirectories())
  {
    std::error_code unreadable; // then it holds none
    for (const auto & entry : std::filesystem::directory_iterator(directory, unreadable))
    {
      if (entry.path().extension() == ".onnx")
      {
        names.insert('"' + entry.path().stem().string() + '"');
      }
    }
  }
  std::string list;
  for (const auto & name : names)
  {
    list += (list.empty() ? "" : ", ") + name;
  }
  return list.empty() ? "none" : list;
}

} // namespace


void
SetModelDirectories(const std::vector<std::string> & directories)
{
  ModelDirectories().assign(directories.begin(), directories.end());
}

std::string
FindModel(const std::string & nameOrPath)
{
  const std::filesystem::path path = nameOrPath;
  if (path.extension() == ".onnx" || path.has_parent_path())
  {
    return nameOrPath;
  }
  for (const auto & directory : ModelDirectories())
  {
    const std::filesystem::path installed = directory / (nameOrPath + ".onnx");
    std::error_code             unreadable; // then it is not there
    if (!nameOrPath.empty() && std::filesystem::is_regular_file(installed, unreadable))
    {
      return installed.string();
    }
  }
  throw ModelError("CNNMetricModel \"" + nameOrPath + "\" is not an installed model (installed: " +
                   ListInstalledModels() + "). Give one of these names, or the path of an .onnx file.");
}

} // namespace cnnmetric
