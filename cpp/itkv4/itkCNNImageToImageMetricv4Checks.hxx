// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetricv4Checks_hxx
#define itkCNNImageToImageMetricv4Checks_hxx

#include "cnnmetricError.h"
#include "itkCNNImageToImageMetricv4.h"

#include <itkCompositeTransform.h>
#include <itkDisplacementFieldTransform.h>

#include <algorithm>
#include <string>

namespace itk
{

namespace CNNImageToImageMetricv4Checks
{

/** Throw Error unless something is set. */
inline void
Require(const bool isSet, const std::string & role)
{
  if (!isSet)
  {
    throw cnnmetric::Error("The metric has no " + role + ". Set it, and call Initialize() before evaluating.");
  }
}

/** The role of what SetUseSampledPointSet asks for, and ITK crashes without. */
inline constexpr char SampledPoints[] =
  "set of sampled points, which SetUseSampledPointSet(True) needs (SetFixedSampledPointSet)";

/** Throw Error if something is not what Initialize() has seen. */
inline void
RequireUnchanged(const bool isUnchanged, const std::string & role)
{
  if (!isUnchanged)
  {
    throw cnnmetric::Error("The " + role + " was set or changed after Initialize(). Call Initialize() again.");
  }
}

/** Throw Error if a transform, or one inside of it, has nothing to transform points by: ITK's classes do not check
 * that themselves. */
template <unsigned int VDimension>
void
RequireContent(const Transform<double, VDimension, VDimension> & transform, const std::string & role)
{
  if (const auto * const composite = dynamic_cast<const CompositeTransform<double, VDimension> *>(&transform))
  {
    if (composite->GetNumberOfTransforms() == 0)
    {
      throw cnnmetric::Error("The " + role + " is a CompositeTransform without transforms. Add one (AddTransform).");
    }
    for (SizeValueType n = 0; n < composite->GetNumberOfTransforms(); ++n)
    {
      Require(composite->GetNthTransformConstPointer(n) != nullptr, role);
      RequireContent<VDimension>(*composite->GetNthTransformConstPointer(n), role);
    }
  }
  const auto * const field = dynamic_cast<const DisplacementFieldTransform<double, VDimension> *>(&transform);
  if (field && !field->GetDisplacementField())
  {
    throw cnnmetric::Error("The " + role + " is a " + transform.GetNameOfClass() +
                           " without a field. Give it one (SetDisplacementField).");
  }
}

/** When a transform, or one inside of it, was changed last. ITK's CompositeTransform does not look inside. */
template <unsigned int VDimension>
ModifiedTimeType
GetTimeOfChange(const Transform<double, VDimension, VDimension> & transform)
{
  ModifiedTimeType time = transform.GetMTime();
  if (const auto * const composite = dynamic_cast<const CompositeTransform<double, VDimension> *>(&transform))
  {
    for (SizeValueType n = 0; n < composite->GetNumberOfTransforms(); ++n)
    {
      time = std::max(time, GetTimeOfChange<VDimension>(*composite->GetNthTransformConstPointer(n)));
    }
  }
  return time;
}

/** Whether an interpolator interpolates this image, in its present size. */
template <typename TImage>
bool
Interpolates(const InterpolateImageFunction<TImage, double> & interpolator, const TImage & image)
{
  const auto & region = image.GetBufferedRegion();
  return interpolator.GetInputImage() == &image && interpolator.GetStartIndex() == region.GetIndex() &&
         interpolator.GetEndIndex() == region.GetUpperIndex();
}

} // namespace CNNImageToImageMetricv4Checks


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
auto
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetInputs() const -> Inputs
{
  Inputs inputs;
  inputs.fixedMask = this->m_FixedImageMask.GetPointer();
  inputs.virtualImage = this->GetVirtualImage();
  inputs.fixedTransform = this->m_FixedTransform.GetPointer();
  inputs.fixedTransformTime = CNNImageToImageMetricv4Checks::GetTimeOfChange<ImageDimension>(*this->m_FixedTransform);
  return inputs;
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
void
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::CheckPresence() const
{
  using namespace CNNImageToImageMetricv4Checks;
  Require(this->m_FixedImage.IsNotNull(), "fixed image");
  Require(this->m_MovingImage.IsNotNull(), "moving image");
  Require(this->m_FixedTransform.IsNotNull(), "fixed transform");
  Require(this->m_MovingTransform.IsNotNull(), "moving transform");
  Require(this->m_FixedInterpolator.IsNotNull(), "fixed interpolator");
  Require(this->m_MovingInterpolator.IsNotNull(), "moving interpolator");
  Require(!this->m_UseSampledPointSet || this->m_UseVirtualSampledPointSet || this->m_FixedSampledPointSet.IsNotNull(),
          SampledPoints);
  RequireContent<ImageDimension>(*this->m_FixedTransform, "fixed transform");
  RequireContent<ImageDimension>(*this->m_MovingTransform, "moving transform");
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
void
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::CheckInputs() const
{
  using namespace CNNImageToImageMetricv4Checks;
  m_PatchMetric.GetEvaluator(); // throws if Initialize() was not called
  const Inputs inputs = GetInputs();
  RequireUnchanged(Interpolates<FixedImageType>(*this->m_FixedInterpolator, *this->m_FixedImage),
                   "fixed image or interpolator");
  RequireUnchanged(Interpolates<MovingImageType>(*this->m_MovingInterpolator, *this->m_MovingImage),
                   "moving image or interpolator");
  RequireUnchanged(inputs.fixedMask == m_Inputs.fixedMask, "fixed mask");
  RequireUnchanged(inputs.virtualImage == m_Inputs.virtualImage, "virtual domain");
  RequireUnchanged(inputs.fixedTransform == m_Inputs.fixedTransform &&
                     inputs.fixedTransformTime == m_Inputs.fixedTransformTime,
                   "fixed transform");
  if (this->HasLocalSupport())
  {
    // The parameters of a displacement field belong to the voxels of the virtual domain.
    // ITK's function is not const, but it changes nothing.
    const_cast<Self *>(this)->VerifyDisplacementFieldSizeAndPhysicalSpace();
  }
}

} // namespace itk

#endif
