// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricModelDirectory.h"

#include "cnnmetricError.h"

#include <filesystem>
#include <set>

namespace cnnmetric
{

namespace
{

std::filesystem::path &
ModelDirectory()
{
  static std::filesystem::path directory;
  return directory;
}

std::string
ListInstalledModels()
{
  std::set<std::string> names;
  if (std::filesystem::is_directory(ModelDirectory()))
  {
    for (const auto & entry : std::filesystem::directory_iterator(ModelDirectory()))
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
SetModelDirectory(const std::string & directory)
{
  ModelDirectory() = directory;
}

std::string
FindModel(const std::string & nameOrPath)
{
  const std::filesystem::path path = nameOrPath;
  if (path.extension() == ".onnx" || path.has_parent_path())
  {
    return nameOrPath;
  }
  const std::filesystem::path installed = ModelDirectory() / (nameOrPath + ".onnx");
  if (nameOrPath.empty() || !std::filesystem::is_regular_file(installed))
  {
    throw ModelError("CNNMetricModel \"" + nameOrPath + "\" is not an installed model (installed: " +
                     ListInstalledModels() + "). Give one of these names, or the path of an .onnx file.");
  }
  return installed.string();
}

} // namespace cnnmetric
