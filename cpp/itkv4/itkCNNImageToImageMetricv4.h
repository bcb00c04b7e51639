// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetricv4_h
#define itkCNNImageToImageMetricv4_h

#include "cnnmetricPatchMetric.h"

#include <itkBSplineInterpolateImageFunction.h>
#include <itkImageToImageMetricv4.h>
#include <itkLinearInterpolateImageFunction.h>

#include <string>

namespace itk
{

/** \class CNNImageToImageMetricv4
 * \brief ITKv4's interface to the learned metric of Simonovsky et al. 2016: translates, computes nothing itself.
 *
 * The metric is cnnmetric::PatchMetric, as in elastix. This class hands it ITK's images, transforms, masks and virtual domain.
 *
 * As for every metric of ITKv4, the derivative points downhill: GetValueAndDerivative gives -dM/dtheta of the moving transform, for the
 * optimizers to add. It is exact for transforms with global support, and for displacement fields that are interpolated linearly
 * (itk::DisplacementFieldTransform), with the field's values as parameters.
 *
 * The evaluation grid lies in the virtual domain. The metric evaluates all patches, or random blocks if the registration method
 * samples (MetricSamplingStrategy): as many patches, of all, as it samples points of the virtual domain. The blocks are drawn when a level starts
 * and stay, so that the optimizer sees one function.
 *
 * Moving images are interpolated linearly, or by itk::BSplineInterpolateImageFunction; the derivative is that of the interpolation, so
 * gradient filters and calculators are not used.
 *
 * \ingroup ITKMetricsv4
 */
template <typename TFixedImage, typename TMovingImage, typename TVirtualImage = TFixedImage>
class ITK_TEMPLATE_EXPORT CNNImageToImageMetricv4
  : public ImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage, double>
{
public:
  ITK_DISALLOW_COPY_AND_MOVE(CNNImageToImageMetricv4);

  using Self = CNNImageToImageMetricv4;
  using Superclass = ImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage, double>;
  using Pointer = SmartPointer<Self>;
  using ConstPointer = SmartPointer<const Self>;

  itkNewMacro(Self);
  itkOverrideGetNameOfClassMacro(CNNImageToImageMetricv4);

  using typename Superclass::DerivativeType;
  using typename Superclass::FixedImageType;
  using typename Superclass::MeasureType;
  using typename Superclass::MovingImageType;

  static constexpr unsigned int ImageDimension = TVirtualImage::ImageDimension;
  static_assert(TFixedImage::ImageDimension == ImageDimension && TMovingImage::ImageDimension == ImageDimension);

  using PatchMetricType = cnnmetric::PatchMetric<ImageDimension>;
  using GeneratorType = typename PatchMetricType::GeneratorType;

  /** Loads the model, and throws ModelError at once if it cannot be used. The rest counts from the next Initialize() on. */
  void
  SetSettings(const cnnmetric::Settings & settings)
  {
    m_PatchMetric.Configure(settings);
    m_Settings = settings;
  }

  /** The images from which the intensity normalisation is taken. Without them it is taken from those of the current level, which a registration
   * method smooths. */
  void
  SetOriginalImages(const FixedImageType * fixedImage, const MovingImageType * movingImage)
  {
    m_OriginalFixedImage = fixedImage;
    m_OriginalMovingImage = movingImage;
  }

  /** Smallest share of the patches inside the fixed mask that has to map into the moving image (and mask). */
  itkSetMacro(RequiredRatioOfValidSamples, double);
  itkGetConstMacro(RequiredRatioOfValidSamples, double);

  /** Of the random blocks. */
  itkSetMacro(Seed, unsigned int);
  itkGetConstMacro(Seed, unsigned int);

  /** Loads the model if it is not yet loaded, checks the images, samples the fixed image. */
  void
  Initialize() override;

  MeasureType
  GetValue() const override;

  void
  GetDerivative(DerivativeType & derivative) const override;

  void
  GetValueAndDerivative(MeasureType & value, DerivativeType & derivative) const override;

  /** What the network says of every patch and every voxel of the grid (Figure 1 of the paper). */
  cnnmetric::Maps
  GetMaps() const;

  /** Draw new random blocks at the next evaluation. */
  void
  DrawNewBlocks()
  {
    m_PatchMetric.DrawNewBlocks();
  }

  /** One line about what is evaluated; valid after Initialize(). */
  std::string
  DescribeSetup() const;

  const PatchMetricType &
  GetPatchMetric() const
  {
    return m_PatchMetric;
  }

protected:
  CNNImageToImageMetricv4();
  ~CNNImageToImageMetricv4() override = default;

private:
  class TransformWarp;
  template <typename TPartitioner>
  class IdleThreader;

  typename PatchMetricType::FixedDomain
  GetFixedDomain() const;

  double
  GetGridFactor() const;

  typename PatchMetricType::SamplingRequest
  GetSamplingRequest() const;

  typename PatchMetricType::ValidityRule
  GetValidityRule() const;

  /** Run work(warp, numberOfWorkers) and keep what the superclass reports. */
  template <typename TWork>
  MeasureType
  EvaluateBy(const TWork & work) const;

  cnnmetric::Settings                 m_Settings{};
  double                              m_RequiredRatioOfValidSamples{ 0.25 };
  unsigned int                        m_Seed{ 121212 };
  SmartPointer<const FixedImageType>  m_OriginalFixedImage{};
  SmartPointer<const MovingImageType> m_OriginalMovingImage{};
  typename GeneratorType::Pointer     m_Generator{ GeneratorType::New() };
  /** Draws its blocks when it is first evaluated, which ITK's interface declares const. */
  mutable PatchMetricType m_PatchMetric{};
};

} // namespace itk

#ifndef ITK_MANUAL_INSTANTIATION
#  include "itkCNNImageToImageMetricv4.hxx"
#endif

#endif
