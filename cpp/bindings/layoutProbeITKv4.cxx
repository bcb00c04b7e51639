// SPDX-License-Identifier: Apache-2.0
#include "layoutProbeITKv4.h"
#include "swigPointer.h"

#include <itkImageToImageMetricv4.h>

namespace cnnmetric
{

std::string
ProbeLayoutForITKv4(const pybind11::object & metric)
{
  using ImageType = itk::Image<float, 3>;
  using MetricType = itk::ImageToImageMetricv4<ImageType, ImageType, ImageType, double>;
  const auto & object = *UnwrapFromITK<MetricType>(metric, "itkMeanSquaresImageToImageMetricv4IF3IF3", "metric");
  if (object.GetMetricCategory() != itk::ObjectToObjectMetricBaseTemplateEnums::MetricCategory::IMAGE_METRIC ||
      !object.SupportsArbitraryVirtualDomainSamples())
  {
    return "table of itk::ImageToImageMetricv4";
  }
  if (!object.GetUseMovingImageGradientFilter() || object.GetUseFloatingPointCorrection() ||
      object.GetFloatingPointCorrectionResolution() != 1e6)
  {
    return "members of itk::ImageToImageMetricv4";
  }
  return "";
}

} // namespace cnnmetric
