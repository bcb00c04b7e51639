// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetric_h
#define itkCNNImageToImageMetric_h

#include "cnnmetricPatchMetric.h"
#include "cnnmetricPointCache.h"

#include "itkAdvancedImageToImageMetric.h"

#include <memory>
#include <string>

namespace itk
{

/** \class CNNImageToImageMetric
 * \brief elastix's interface to the learned metric of Simonovsky et al. 2016: an adapter that computes nothing itself.
 *
 * The metric is cnnmetric::PatchMetric. This class hands it elastix's images, masks, samplers and threads, and wraps
 * elastix's interpolator and transform into a cnnmetric::Warp.
 *
 * Set the properties, then the images, transform and interpolator as for any metric, then call Initialize().
 */
template <typename TFixedImage, typename TMovingImage>
class ITK_TEMPLATE_EXPORT CNNImageToImageMetric : public AdvancedImageToImageMetric<TFixedImage, TMovingImage>
{
public:
  ITK_DISALLOW_COPY_AND_MOVE(CNNImageToImageMetric);

  using Self = CNNImageToImageMetric;
  using Superclass = AdvancedImageToImageMetric<TFixedImage, TMovingImage>;
  using Pointer = SmartPointer<Self>;
  using ConstPointer = SmartPointer<const Self>;

  itkNewMacro(Self);
  itkOverrideGetNameOfClassMacro(CNNImageToImageMetric);

  using typename Superclass::DerivativeType;
  using typename Superclass::FixedImageType;
  using typename Superclass::MeasureType;
  using typename Superclass::MovingImageType;
  using typename Superclass::TransformParametersType;

  static constexpr unsigned int ImageDimension = TFixedImage::ImageDimension;
  static_assert(TFixedImage::ImageDimension == TMovingImage::ImageDimension);

  using PatchMetricType = cnnmetric::PatchMetric<ImageDimension>;
  using EvaluatorType = typename PatchMetricType::EvaluatorType;

  void
  SetSettings(const cnnmetric::Settings & settings)
  {
    m_Settings = settings;
  }

  /** The full-resolution images. The intensity normalisation comes from them at every level. */
  void
  SetOriginalImages(const FixedImageType * fixedImage, const MovingImageType * movingImage)
  {
    m_OriginalFixedImage = fixedImage;
    m_OriginalMovingImage = movingImage;
  }

  /** Whether the user has set the number of samples of a random sampler. If not, it is the sampler's default, which the
   * metric does not follow. */
  itkSetMacro(UseNumberOfSpatialSamples, bool);
  itkGetConstMacro(UseNumberOfSpatialSamples, bool);

  /** Load the model unless it is loaded, check the images, and sample the fixed image. */
  void
  Initialize() override;

  MeasureType
  GetValue(const TransformParametersType & parameters) const override;

  void
  GetDerivative(const TransformParametersType & parameters, DerivativeType & derivative) const override;

  void
  GetValueAndDerivative(const TransformParametersType & parameters,
                        MeasureType &                   value,
                        DerivativeType &                derivative) const override;

  /** The value over the whole grid, for any sampling. */
  MeasureType
  GetFullValue(const TransformParametersType & parameters) const;

  /** Dissimilarity and derivative place by place, over the whole grid (Figure 1 of the paper). */
  cnnmetric::Maps
  GetMaps(const TransformParametersType & parameters) const;

  /** Draw new random blocks at the next evaluation. */
  void
  DrawNewBlocks()
  {
    m_PatchMetric.DrawNewBlocks();
  }

  /** One line for the log; valid after Initialize(). */
  std::string
  DescribeSetup() const;

  const PatchMetricType &
  GetPatchMetric() const
  {
    return m_PatchMetric;
  }

protected:
  CNNImageToImageMetric() = default;
  ~CNNImageToImageMetric() override = default;

  /** Threads of an evaluation. */
  unsigned int
  GetNumberOfWorkers() const;

private:
  class AdvancedWarp;
  using PointCacheType = cnnmetric::PointCache<ImageDimension>;

  typename PatchMetricType::SamplingRequest
  GetSamplingRequest() const;

  typename PatchMetricType::ValidityRule
  GetValidityRule() const;

  /** Throw Error if elastix's linear interpolation would read outside of the moving image, where an axis has one voxel.
   */
  void
  CheckInterpolation() const;

  /** Set the transform's parameters and run work(warp, numberOfWorkers). */
  template <typename TWork>
  MeasureType
  EvaluateAt(const TransformParametersType & parameters, const TWork & work) const;

  cnnmetric::Settings m_Settings{};
  /** As elastix has set it, for levels whose settings leave it to elastix; 0 before the first level. */
  ThreadIdType m_OwnNumberOfWorkUnits{ 0 };
  /** What there is scratch memory for; valid after Initialize(). */
  ThreadIdType                        m_GrantedNumberOfWorkUnits{ 0 };
  bool                                m_UseNumberOfSpatialSamples{ false };
  SmartPointer<const FixedImageType>  m_OriginalFixedImage{};
  SmartPointer<const MovingImageType> m_OriginalMovingImage{};
  /** Mutable, because it draws its blocks in the first evaluation, and elastix declares evaluations const. */
  mutable PatchMetricType m_PatchMetric{};
  /** Where the initial transform, which stays the same, takes the voxels; null if it is quick enough. */
  std::unique_ptr<const PointCacheType> m_InitialPoints{};
};

} // namespace itk

#ifndef ITK_MANUAL_INSTANTIATION
#  include "itkCNNImageToImageMetric.hxx"
#endif

#endif
