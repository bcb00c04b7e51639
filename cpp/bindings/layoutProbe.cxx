// SPDX-License-Identifier: Apache-2.0
#include "layoutProbe.h"

#include "cnnmetricText.h"

#include "elxElastixTemplate.h"
#include "elxMainBase.h"
#include "itkAdvancedImageToImageMetric.h"
#include "itkAdvancedTransform.h"

#include <dlfcn.h>

namespace cnnmetric
{

namespace
{

using ImageType = itk::Image<float, 3>;
using TransformType = itk::AdvancedTransform<double, 3, 3>;
using MetricType = itk::AdvancedImageToImageMetric<ImageType, ImageType>;

/** Create one of the wheel's own components. */
itk::Object::Pointer
CreateComponent(const std::string & name)
{
  const auto & database = elastix::MainBase::GetComponentDatabase();
  const auto   creator = database.GetCreator(name, database.GetIndex("float", 3, "float", 3));
  return creator ? creator() : nullptr;
}

/** Name under which a library exports the function at an address. */
std::string
NameOfFunction(const void * const address)
{
  Dl_info info;
  return dladdr(address, &info) && info.dli_sname ? info.dli_sname : "an unknown function";
}

// GCC resolves a member function pointer through an object's table into a plain address, without calling it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpmf-conversions"
/** Name of the function that a virtual call of a member of the object reaches. */
template <typename TObject, typename TMember>
std::string
NameOfSlot(const TObject & object, TMember member)
{
  return NameOfFunction(reinterpret_cast<const void *>(object.*member));
}
#pragma GCC diagnostic pop

/** Empty if the text that was found contains the expected one, else a sentence about the difference. */
std::string
Expect(const std::string & what, const std::string & expected, const std::string & found)
{
  return found.find(expected) != std::string::npos ? "" : what + ": expected " + expected + ", found " + found;
}

} // namespace


std::string
ProbeLayout()
{
  const auto         transformObject = CreateComponent("TranslationTransform");
  const auto         metricObject = CreateComponent("AdvancedMeanSquares");
  const auto * const transform = dynamic_cast<const TransformType *>(transformObject.GetPointer());
  const auto * const metric = dynamic_cast<const MetricType *>(metricObject.GetPointer());
  if (!transform || !metric)
  {
    return "its components are not of the classes that we were compiled against";
  }

  // The last virtual functions that itk::Transform and itk::AdvancedTransform declare. Any function more or less in
  // front of them shifts them.
  std::string problem = Expect("table of itk::AdvancedTransform",
                               "GetNumberOfNonZeroJacobianIndices",
                               NameOfSlot(*transform, &TransformType::GetNumberOfNonZeroJacobianIndices));
  if (problem.empty())
  {
    problem = Expect("table of itk::AdvancedTransform",
                     "EvaluateJacobianWithImageGradientProduct",
                     NameOfSlot(*transform, &TransformType::EvaluateJacobianWithImageGradientProduct));
  }
  if (problem.empty())
  {
    problem = Expect("table of itk::AdvancedImageToImageMetric",
                     "BeforeThreadedGetValueAndDerivative",
                     NameOfSlot(*metric, &MetricType::BeforeThreadedGetValueAndDerivative));
  }
  if (problem.empty())
  {
    // The table is right, so a call is safe: each of the three parameters of a translation in 3D moves every point.
    problem =
      Expect("parameters of a translation", "3", std::to_string(transform->GetNumberOfNonZeroJacobianIndices()));
  }
  if (problem.empty())
  {
    // Data members at the far end of the metric, read through inline functions of the headers.
    problem = Expect("members of itk::AdvancedImageToImageMetric",
                     "sampler 1, ratio 0.25",
                     "sampler " + std::to_string(metric->GetUseImageSampler()) + ", ratio " +
                       ToText(metric->GetRequiredRatioOfValidSamples()));
  }
  return problem;
}

} // namespace cnnmetric
