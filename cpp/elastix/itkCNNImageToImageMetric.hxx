// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetric_hxx
#define itkCNNImageToImageMetric_hxx

#include "itkCNNImageToImageMetric.h"

#include "itkImageFullSampler.h"
#include "itkImageGridSampler.h"

#include <itkLinearInterpolateImageFunction.h>

namespace itk
{

/** \class AdvancedWarp
 * \brief I_m(T(x)) and its derivatives by elastix's transform and interpolator. */
template <typename TFixedImage, typename TMovingImage>
class CNNImageToImageMetric<TFixedImage, TMovingImage>::AdvancedWarp : public cnnmetric::Warp<ImageDimension>
{
public:
  using Base = cnnmetric::Warp<ImageDimension>;
  using typename Base::GradientType;
  using typename Base::PointType;

  AdvancedWarp(const Self & metric, const unsigned int numberOfWorkers)
    : m_Metric(metric)
    , m_Transform(*metric.m_AdvancedTransform)
    , m_Scratch(numberOfWorkers)
  {
    for (Scratch & scratch : m_Scratch)
    {
      scratch.imageJacobian.SetSize(m_Transform.GetNumberOfNonZeroJacobianIndices());
      scratch.nonZeroIndices.resize(m_Transform.GetNumberOfNonZeroJacobianIndices());
    }
  }

  std::size_t
  GetNumberOfParameters() const override
  {
    return m_Transform.GetNumberOfParameters();
  }

  bool
  Evaluate(const PointType & x, const unsigned int worker, double & intensity, GradientType & gradient) const override
  {
    typename Superclass::RealType                  value{};
    typename Superclass::MovingImageDerivativeType derivative;
    if (!m_Metric.FastEvaluateMovingImageValueAndDerivative(m_Transform.TransformPoint(x), value, &derivative, worker))
    {
      return false;
    }
    intensity = value;
    gradient = derivative;
    return true;
  }

  bool
  IsInsideMovingMask(const PointType & x) const override
  {
    return m_Metric.IsInsideMovingMask(m_Transform.TransformPoint(x));
  }

  void
  AccumulateDerivative(const PointType &    x,
                       const GradientType & metricGradient,
                       const unsigned int   worker,
                       double * const       derivative) const override
  {
    Scratch & scratch = m_Scratch[worker];
    // For a point outside of its grid, where the Jacobian is zero, RecursiveBSplineTransform (elastix 5.3.1) writes
    // nothing.
    scratch.imageJacobian.Fill(0.0);
    m_Transform.EvaluateJacobianWithImageGradientProduct(
      x, metricGradient, scratch.imageJacobian, scratch.nonZeroIndices);
    for (std::size_t i = 0; i < scratch.nonZeroIndices.size(); ++i)
    {
      derivative[scratch.nonZeroIndices[i]] += scratch.imageJacobian[i];
    }
  }

private:
  struct Scratch
  {
    DerivativeType                                  imageJacobian{};
    typename Superclass::NonZeroJacobianIndicesType nonZeroIndices{};
  };

  const Self &                                       m_Metric;
  const typename Superclass::AdvancedTransformType & m_Transform;
  mutable std::vector<Scratch>                       m_Scratch;
};


template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::Initialize()
{
  m_PatchMetric.Configure(m_Settings); // first, because it checks the settings
  // This has to come before Superclass::Initialize(), which gives every thread of the interpolator its scratch memory.
  if (m_Settings.numberOfThreads > 0)
  {
    this->SetNumberOfWorkUnits(m_Settings.numberOfThreads);
  }
  Superclass::Initialize();

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
    return m_PatchMetric.EvaluateFull(warp, GetValidityRule(), numberOfWorkers, nullptr);
  });
}


template <typename TFixedImage, typename TMovingImage>
cnnmetric::Maps
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetMaps(const TransformParametersType & parameters) const
{
  cnnmetric::Maps maps;
  DerivativeType  derivative(this->GetNumberOfParameters());
  EvaluateAt(parameters, [&](const auto & warp, const unsigned int numberOfWorkers) {
    return m_PatchMetric.EvaluateFull(warp, GetValidityRule(), numberOfWorkers, derivative.data_block(), &maps);
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
  return this->GetUseMultiThread() ? m_PatchMetric.GetNumberOfWorkers(this->GetNumberOfWorkUnits()) : 1;
}


template <typename TFixedImage, typename TMovingImage>
std::string
CNNImageToImageMetric<TFixedImage, TMovingImage>::DescribeSetup() const
{
  return m_PatchMetric.Describe(GetSamplingRequest(), GetNumberOfWorkers());
}

} // namespace itk

#endif
