// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricModelDirectory.h"

#include "cnnmetricError.h"
#include "cnnmetricFiles.h"

#include <set>

namespace cnnmetric
{

namespace
{

const std::string extension = ".onnx";

std::vector<std::string> &
ModelDirectories()
{
  static std::vector<std::string> directories;
  return directories;
}

bool
EndsWith(const std::string & text, const std::string & end)
{
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string
ListInstalledModels()
{
  std::set<std::string> names;
  for (const std::string & directory : ModelDirectories())
  {
    for (const std::string & file : ListFolder(directory))
    {
      if (EndsWith(file, extension))
      {
        names.insert('"' + file.substr(0, file.size() - extension.size()) + '"');
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
  ModelDirectories() = directories;
}

std::string
FindModel(const std::string & nameOrPath)
{
  if (EndsWith(nameOrPath, extension) || nameOrPath.find('/') != std::string::npos)
  {
    return nameOrPath;
  }
  for (const std::string & directory : ModelDirectories())
  {
    const std::string installed = directory + '/' + nameOrPath + extension;
    if (!nameOrPath.empty() && IsFile(installed))
    {
      return installed;
    }
  }
  throw ModelError("CNNMetricModel \"" + nameOrPath + "\" is not an installed model (installed: " +
                   ListInstalledModels() + "). Give one of these names, or the path of an .onnx file.");
}

} // namespace cnnmetric
