// SPDX-License-Identifier: Apache-2.0
#include "elxCNNMetric.h"

#include "cnnmetricError.h"
#include "elxInstallCNNMetric.h"

#include "elxElastixTemplate.h"
#include "elxInstallFunctions.h"
#include "elxMainBase.h"

namespace elastix
{

const std::vector<std::string> &
CNNMetricParameterNames()
{
  static const std::vector<std::string> names{
    "CNNMetricBlockSize",       "CNNMetricDevice",  "CNNMetricFixedModality",
    "CNNMetricGridSpacing",     "CNNMetricModel",   "CNNMetricNumberOfBlocks",
    "CNNMetricNumberOfThreads", "CNNMetricProfile", "CNNMetricSampling",
  };
  return names;
}

namespace
{

/** Give elastix the creator for one internal image type. */
template <typename TPixel, unsigned int VDimension>
void
InstallFor(const std::string & pixelType)
{
  using ImageType = itk::Image<TPixel, VDimension>;
  using ComponentType = CNNMetric<ElastixTemplate<ImageType, ImageType>>;

  // The accessor of the mutable database is private in elastix 5.3.1. The public one returns the same object, which is
  // not const itself.
  auto &     database = const_cast<ComponentDatabase &>(MainBase::GetComponentDatabase());
  const auto index = database.GetIndex(pixelType, VDimension, pixelType, VDimension);
  // Index 0 is elastix's "not supported": the wheel decides which image types there are.
  if (index == 0)
  {
    throw cnnmetric::Error("This build of elastix does not support images of type " + pixelType + " in " +
                           std::to_string(VDimension) + "D.");
  }
  InstallFunctions<ComponentType>::InstallComponent(ComponentType::elxGetClassNameStatic(), index, &database);
}

} // namespace

void
InstallCNNMetric()
{
  static bool isInstalled = false;
  if (isInstalled)
  {
    return;
  }
  // The wheel also supports 4D images, but a network compares patches of two or three dimensions. The Python package
  // refuses 4D images with an explanation (python/cnnmetric/plugin/failures.py).
  InstallFor<float, 2>("float");
  InstallFor<float, 3>("float");
  InstallFor<short, 3>("short");
  isInstalled = true;
}

} // namespace elastix
