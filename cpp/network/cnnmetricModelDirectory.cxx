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

std::string &
ModelDirectory()
{
  static std::string directory;
  return directory;
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
  for (const std::string & file : ListFolder(ModelDirectory()))
  {
    if (EndsWith(file, extension))
    {
      names.insert('"' + file.substr(0, file.size() - extension.size()) + '"');
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
  if (EndsWith(nameOrPath, extension) || nameOrPath.find('/') != std::string::npos)
  {
    return nameOrPath;
  }
  const std::string installed = ModelDirectory() + '/' + nameOrPath + extension;
  if (nameOrPath.empty() || !IsFile(installed))
  {
    throw ModelError("CNNMetricModel \"" + nameOrPath + "\" is not an installed model (installed: " +
                     ListInstalledModels() + "). Give one of these names, or the path of an .onnx file.");
  }
  return installed;
}

} // namespace cnnmetric
