// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetric_hxx
#define itkCNNImageToImageMetric_hxx

#include "itkCNNImageToImageMetric.h"
#include "itkCNNImageToImageMetricWarp.hxx"

#include "itkAdvancedLinearInterpolateImageFunction.h"
#include "itkImageFullSampler.h"
#include "itkImageGridSampler.h"

#include <itkLinearInterpolateImageFunction.h>

#include <algorithm>

namespace itk
{

template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::Initialize()
{
  m_PatchMetric.Configure(m_Settings); // first, because it checks the settings
  // This has to come before Superclass::Initialize(), which gives every thread of the interpolator its scratch memory.
  // Metrics may share an interpolator, so there is never less of it than without this metric's own number of threads.
  if (m_OwnNumberOfWorkUnits == 0)
  {
    m_OwnNumberOfWorkUnits = this->GetNumberOfWorkUnits();
  }
  this->SetNumberOfWorkUnits(std::max<ThreadIdType>(m_OwnNumberOfWorkUnits, m_Settings.numberOfThreads));
  Superclass::Initialize();
  m_GrantedNumberOfWorkUnits = this->GetNumberOfWorkUnits();
  CheckInterpolation();

  const auto & fixedImage = *this->GetFixedImage();
  const auto   interpolator = LinearInterpolateImageFunction<FixedImageType, double>::New();
  interpolator->SetInputImage(&fixedImage);
  typename PatchMetricType::FixedDomain fixedDomain;
  fixedDomain.intensity = [&interpolator](const auto & x) { return interpolator->Evaluate(x); };
  if (const auto * const mask = this->GetFixedImageMask())
  {
    fixedDomain.isInside = [mask](const auto & x) { return mask->IsInsideInWorldSpace(x); };
  }
  m_PatchMetric.StartLevel(fixedImage,
                           this->GetFixedImageRegion(),
                           fixedDomain,
                           m_OriginalFixedImage ? *m_OriginalFixedImage : fixedImage,
                           m_OriginalMovingImage ? *m_OriginalMovingImage : *this->GetMovingImage());
  m_PatchMetric.WarnOfCost(GetSamplingRequest());

  const std::size_t numberOfVoxels = cnnmetric::NumberOfElements(m_PatchMetric.GetEvaluator().GetGrid().GetSize());
  m_InitialPoints.reset();
  if (numberOfVoxels <= PointCacheType::MostVoxels && AdvancedWarp::IsWorthCaching(*this->m_AdvancedTransform))
  {
    m_InitialPoints = std::make_unique<const PointCacheType>(numberOfVoxels);
  }
}


template <typename TFixedImage, typename TMovingImage>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetValue(const TransformParametersType & parameters) const
  -> MeasureType
{
  return EvaluateAt(parameters, [this](const auto & warp, const unsigned int numberOfWorkers) {
    return m_PatchMetric.Evaluate(warp,
                                  GetSamplingRequest(),
                                  GetValidityRule(),
                                  this->GetMutableRandomVariateGenerator(),
                                  numberOfWorkers,
                                  nullptr);
  });
}


template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetDerivative(const TransformParametersType & parameters,
                                                                DerivativeType &                derivative) const
{
  MeasureType value{};
  this->GetValueAndDerivative(parameters, value, derivative);
}


template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetValueAndDerivative(const TransformParametersType & parameters,
                                                                        MeasureType &                   value,
                                                                        DerivativeType & derivative) const
{
  derivative.SetSize(this->GetNumberOfParameters());
  value = EvaluateAt(parameters, [this, &derivative](const auto & warp, const unsigned int numberOfWorkers) {
    return m_PatchMetric.Evaluate(warp,
                                  GetSamplingRequest(),
                                  GetValidityRule(),
                                  this->GetMutableRandomVariateGenerator(),
                                  numberOfWorkers,
                                  derivative.data_block());
  });
}


template <typename TFixedImage, typename TMovingImage>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetFullValue(const TransformParametersType & parameters) const
  -> MeasureType
{
  return EvaluateAt(parameters, [this](const auto & warp, const unsigned int numberOfWorkers) {
    return m_PatchMetric.EvaluateFull(warp, GetValidityRule(), numberOfWorkers);
  });
}


template <typename TFixedImage, typename TMovingImage>
cnnmetric::Maps
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetMaps(const TransformParametersType & parameters) const
{
  cnnmetric::Maps maps;
  EvaluateAt(parameters, [&](const auto & warp, const unsigned int numberOfWorkers) {
    return m_PatchMetric.EvaluateFull(warp, GetValidityRule(), numberOfWorkers, &maps);
  });
  return maps;
}


template <typename TFixedImage, typename TMovingImage>
template <typename TWork>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::EvaluateAt(const TransformParametersType & parameters,
                                                             const TWork &                   work) const -> MeasureType
{
  // Sets the parameters of the transform, unless a combination of metrics does that for all of them.
  this->BeforeThreadedGetValueAndDerivative(parameters);

  const unsigned int          numberOfWorkers = GetNumberOfWorkers();
  const AdvancedWarp          warp(*this, numberOfWorkers);
  const cnnmetric::Evaluation evaluation = work(warp, numberOfWorkers);
  this->m_NumberOfPixelsCounted = evaluation.numberOfValidPatches;
  return evaluation.value;
}


template <typename TFixedImage, typename TMovingImage>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetSamplingRequest() const ->
  typename PatchMetricType::SamplingRequest
{
  // The sampler may change between evaluations: optimizers that measure the noise of the gradient give the metric a
  // grid sampler for a while.
  typename PatchMetricType::SamplingRequest request;
  const auto * const                        sampler = this->GetUseImageSampler() ? this->GetImageSampler() : nullptr;
  if (dynamic_cast<const ImageGridSampler<FixedImageType> *>(sampler) ||
      dynamic_cast<const ImageFullSampler<FixedImageType> *>(sampler))
  {
    request.sampling = cnnmetric::Sampling::Full;
  }
  else if (sampler && m_UseNumberOfSpatialSamples)
  {
    request.numberOfPatches = sampler->GetNumberOfSamples();
  }
  return request;
}


template <typename TFixedImage, typename TMovingImage>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetValidityRule() const -> typename PatchMetricType::ValidityRule
{
  return { this->GetRequiredRatioOfValidSamples(),
           this->GetFixedImageMask() != nullptr,
           this->GetMovingImageMask() != nullptr };
}


template <typename TFixedImage, typename TMovingImage>
unsigned int
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetNumberOfWorkers() const
{
  if (!this->GetUseMultiThread())
  {
    return 1;
  }
  // ITK's threader may grant less than was asked for. elastix's combination of metrics asks again, after Initialize(),
  // without scratch memory for more; and another metric may leave a shared interpolator with less.
  unsigned int most = std::min(this->GetNumberOfWorkUnits(), m_GrantedNumberOfWorkUnits);
  const auto   lower = [&most](const auto * const bspline) {
    if (bspline)
    {
      most = std::min<unsigned int>(most, bspline->GetNumberOfWorkUnits());
    }
  };
  lower(dynamic_cast<const typename Superclass::BSplineInterpolatorType *>(this->GetInterpolator()));
  lower(dynamic_cast<const typename Superclass::BSplineInterpolatorFloatType *>(this->GetInterpolator()));
  return std::min(m_PatchMetric.GetNumberOfWorkers(most), most);
}


template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::CheckInterpolation() const
{
  using LinearInterpolatorType = AdvancedLinearInterpolateImageFunction<MovingImageType, double>;
  const auto & size = this->GetMovingImage()->GetBufferedRegion().GetSize();
  if (dynamic_cast<const LinearInterpolatorType *>(this->GetInterpolator()) &&
      *std::min_element(size.begin(), size.end()) < 2)
  {
    throw cnnmetric::Error("The moving image has " + cnnmetric::JoinAxes(size) +
                           " voxels, but elastix's linear interpolation needs at least 2 along every axis. Interpolate "
                           "by B-splines ((Interpolator \"BSplineInterpolator\"), or interpolation_order=3), or use a "
                           "model for 2D images.");
  }
}


template <typename TFixedImage, typename TMovingImage>
std::string
CNNImageToImageMetric<TFixedImage, TMovingImage>::DescribeSetup() const
{
  return m_PatchMetric.Describe(GetSamplingRequest(), GetNumberOfWorkers());
}

} // namespace itk

#endif
