// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetricv4_hxx
#define itkCNNImageToImageMetricv4_hxx

#include "cnnmetricHooks.h"
#include "cnnmetricLastError.h"
#include "itkCNNImageToImageMetricv4.h"
#include "itkCNNImageToImageMetricv4Checks.hxx"
#include "itkCNNImageToImageMetricv4Warp.hxx"

#include <itkImageToImageMetricv4GetValueAndDerivativeThreader.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace itk
{

/** \class IdleThreader
 * \brief Holds the number of work units, which the superclass keeps in its threaders. The metric does not run them. */
template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
template <typename TPartitioner>
class CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::IdleThreader
  : public ImageToImageMetricv4GetValueAndDerivativeThreader<TPartitioner, Superclass>
{
public:
  using Self = IdleThreader;
  using Base = ImageToImageMetricv4GetValueAndDerivativeThreader<TPartitioner, Superclass>;
  using Pointer = SmartPointer<Self>;
  using ConstPointer = SmartPointer<const Self>;
  itkNewMacro(Self);

protected:
  bool
  ProcessPoint(const typename Base::VirtualIndexType &,
               const typename Base::VirtualPointType &,
               const typename Base::FixedImagePointType &,
               const typename Base::FixedImagePixelType &,
               const typename Base::FixedImageGradientType &,
               const typename Base::MovingImagePointType &,
               const typename Base::MovingImagePixelType &,
               const typename Base::MovingImageGradientType &,
               typename Base::MeasureType &,
               typename Base::DerivativeType &,
               const ThreadIdType) const override
  {
    itkExceptionMacro("CNNImageToImageMetricv4 is evaluated by patches, not by points.");
  }
};


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::CNNImageToImageMetricv4()
{
  this->m_DenseGetValueAndDerivativeThreader = IdleThreader<ThreadedImageRegionPartitioner<ImageDimension>>::New();
  this->m_SparseGetValueAndDerivativeThreader = IdleThreader<ThreadedIndexedContainerPartitioner>::New();
  // The gradient is that of the interpolation, so gradient images would be computed for nothing.
  this->SetUseFixedImageGradientFilter(false);
  this->SetUseMovingImageGradientFilter(false);
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
void
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::Initialize()
{
  cnnmetric::Guard([this] {
    std::unique_lock<std::mutex> lock(m_Mutex);
    m_Inputs = {};
    CheckPresence();
    Superclass::Initialize();
    m_Generator->SetSeed(m_SeedOfBlocks);
    cnnmetric::Settings settings = m_Settings;
    settings.gridFactor = GetGridFactor();
    m_PatchMetric.Configure(settings);
    m_PatchMetric.StartLevel(*this->GetVirtualImage(),
                             this->GetVirtualRegion(),
                             GetFixedDomain(),
                             m_OriginalFixedImage ? *m_OriginalFixedImage : *this->GetFixedImage(),
                             m_OriginalMovingImage ? *m_OriginalMovingImage : *this->GetMovingImage());
    if (const std::string warning = m_PatchMetric.GetWarning(); !warning.empty())
    {
      lock.unlock();
      cnnmetric::StopUnless(cnnmetric::GetHooks().warn("CNNImageToImageMetricv4: " + warning));
      lock.lock();
    }
    m_Inputs = GetInputs();
  });
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
auto
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetValue() const -> MeasureType
{
  return EvaluateBy([this](const auto & warp, const unsigned int numberOfWorkers) {
    return m_PatchMetric.Evaluate(
      warp, GetSamplingRequest(), GetValidityRule(), *m_Generator, numberOfWorkers, nullptr);
  });
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
void
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetDerivative(DerivativeType & derivative) const
{
  MeasureType value{};
  this->GetValueAndDerivative(value, derivative);
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
void
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetValueAndDerivative(
  MeasureType &    value,
  DerivativeType & derivative) const
{
  value = EvaluateBy([this, &derivative](const auto & warp, const unsigned int numberOfWorkers) {
    derivative.SetSize(this->GetNumberOfParameters());
    return m_PatchMetric.Evaluate(
      warp, GetSamplingRequest(), GetValidityRule(), *m_Generator, numberOfWorkers, derivative.data_block());
  });
  derivative *= -1.0; // ITKv4's optimizers add the derivative
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
cnnmetric::Maps
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetMaps() const
{
  cnnmetric::Maps maps;
  EvaluateBy([&](const auto & warp, const unsigned int numberOfWorkers) {
    return m_PatchMetric.EvaluateFull(warp, GetValidityRule(), numberOfWorkers, &maps);
  });
  return maps;
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
void
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::DrawNewBlocks()
{
  const std::lock_guard<std::mutex> lock(m_Mutex);
  // Initialize() seeds the generator, so that levels and registrations repeat, and so it needs another seed.
  m_Generator->SetSeed(m_SeedOfBlocks);
  m_SeedOfBlocks = static_cast<unsigned int>(m_Generator->GetIntegerVariate());
  m_Generator->SetSeed(m_SeedOfBlocks);
  m_PatchMetric.DrawNewBlocks();
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
template <typename TWork>
auto
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::EvaluateBy(const TWork & work) const -> MeasureType
{
  return cnnmetric::Guard([&] {
    cnnmetric::StopUnless(cnnmetric::GetHooks().mayGoOn());
    const std::lock_guard<std::mutex> lock(m_Mutex);
    CheckPresence();
    CheckInputs();
    const unsigned int          numberOfWorkers = m_PatchMetric.GetNumberOfWorkers(this->GetMaximumNumberOfWorkUnits());
    const TransformWarp         warp(*this, numberOfWorkers);
    const cnnmetric::Evaluation evaluation = work(warp, numberOfWorkers);
    this->m_NumberOfValidPoints = evaluation.numberOfValidPatches;
    this->m_Value = evaluation.value;
    return evaluation.value;
  });
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
auto
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetFixedDomain() const ->
  typename PatchMetricType::FixedDomain
{
  typename PatchMetricType::FixedDomain fixedDomain;
  fixedDomain.intensity = [this](const auto & x) {
    const auto y = this->m_FixedTransform->TransformPoint(x);
    return this->m_FixedInterpolator->IsInsideBuffer(y) ? static_cast<double>(this->m_FixedInterpolator->Evaluate(y))
                                                        : -std::numeric_limits<double>::infinity();
  };
  fixedDomain.isInside = [this](const auto & x) {
    const auto y = this->m_FixedTransform->TransformPoint(x);
    return this->m_FixedInterpolator->IsInsideBuffer(y) &&
           (!this->m_FixedImageMask || this->m_FixedImageMask->IsInsideInWorldSpace(y));
  };
  return fixedDomain;
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
double
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetGridFactor() const
{
  // A registration method shrinks the virtual domain of its levels and leaves the images on their grids. The finest
  // axis decides, because a grid that is coarser than the smoothed image would lose information.
  double factor = std::numeric_limits<double>::infinity();
  for (unsigned int d = 0; d < ImageDimension; ++d)
  {
    factor = std::min(factor, this->GetVirtualSpacing()[d] / this->GetFixedImage()->GetSpacing()[d]);
  }
  return std::max(factor, 1.0);
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
auto
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetSamplingRequest() const ->
  typename PatchMetricType::SamplingRequest
{
  typename PatchMetricType::SamplingRequest request;
  request.sampling = cnnmetric::Sampling::Full;
  if (this->m_UseSampledPointSet)
  {
    using namespace CNNImageToImageMetricv4Checks;
    Require(this->m_VirtualSampledPointSet.IsNotNull(), SampledPoints);
    const auto share = static_cast<double>(this->GetNumberOfDomainPoints()) /
                       static_cast<double>(this->GetVirtualRegion().GetNumberOfPixels());
    const auto patches = static_cast<double>(m_PatchMetric.GetEvaluator().GetNumberOfPatches());
    request.sampling = cnnmetric::Sampling::Blocks;
    request.numberOfPatches = static_cast<std::size_t>(std::ceil(share * patches));
  }
  return request;
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
auto
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::GetValidityRule() const ->
  typename PatchMetricType::ValidityRule
{
  return { m_RequiredRatioOfValidSamples, this->m_FixedImageMask != nullptr, this->m_MovingImageMask != nullptr };
}


template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
std::string
CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::DescribeSetup() const
{
  const std::lock_guard<std::mutex> lock(m_Mutex);
  return m_PatchMetric.Describe(GetSamplingRequest(),
                                m_PatchMetric.GetNumberOfWorkers(this->GetMaximumNumberOfWorkUnits()));
}

} // namespace itk

#endif
