// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetricv4_h
#define itkCNNImageToImageMetricv4_h

#include "cnnmetricPatchMetric.h"

#include <itkBSplineInterpolateImageFunction.h>
#include <itkImageToImageMetricv4.h>
#include <itkLinearInterpolateImageFunction.h>

#include <mutex>
#include <string>

namespace itk
{

/** \class CNNImageToImageMetricv4
 * \brief ITKv4's interface to the learned metric of Simonovsky et al. 2016: an adapter that computes nothing itself.
 *
 * The metric is cnnmetric::PatchMetric, as for elastix. This class hands it ITK's images, masks and virtual domain, and
 * wraps ITK's interpolator and transform into a cnnmetric::Warp.
 *
 * As for every metric of ITKv4, the derivative points downhill: GetValueAndDerivative gives -dM/dtheta of the moving
 * transform, which ITKv4's optimizers add. It is exact for transforms with global support. It is exact as well for
 * displacement fields that are interpolated linearly (itk::DisplacementFieldTransform), whose parameters are the values
 * of the field.
 *
 * The evaluation grid lies in the virtual domain. The metric evaluates all patches, or random blocks if the
 * registration method samples points (MetricSamplingStrategy). The share of the patches is then that of the sampled
 * points in the virtual domain. The blocks stay the same for a whole level, so that the optimizer sees one function.
 *
 * Moving images are interpolated linearly, or by itk::BSplineInterpolateImageFunction. The derivative is that of the
 * interpolation, so gradient filters and calculators are not used.
 *
 * Initialize() samples the fixed image. If images, masks, the fixed transform, interpolators or the virtual domain are
 * changed after that, an evaluation fails until it is called again. The moving transform may be changed.
 *
 * Several threads may call Initialize and the evaluations; they take turns. Set... methods are ITK's own and may not be
 * called meanwhile.
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

  /** Load the model; throws ModelError if it cannot be used. All other settings take effect in Initialize(). */
  void
  SetSettings(const cnnmetric::Settings & settings)
  {
    m_PatchMetric.Configure(settings);
    m_Settings = settings;
  }

  /** The full-resolution images, from which the intensity normalisation comes. Without them it comes from the images of
   * the current level, which a registration method smooths. Null for the latter. */
  void
  SetOriginalImages(const FixedImageType * fixedImage, const MovingImageType * movingImage)
  {
    m_OriginalFixedImage = fixedImage;
    m_OriginalMovingImage = movingImage;
  }

  /** The share of the patches inside the fixed mask that has to map into the moving image (and mask), at the least. */
  itkSetMacro(RequiredRatioOfValidSamples, double);
  itkGetConstMacro(RequiredRatioOfValidSamples, double);

  /** Seed of the random blocks, until DrawNewBlocks() is called. */
  void
  SetSeed(const unsigned int seed)
  {
    m_Seed = seed;
    m_SeedOfBlocks = seed;
    this->Modified();
  }
  itkGetConstMacro(Seed, unsigned int);

  /** As the superclass, but a transform without parameters has no local support. ITK takes a CompositeTransform for a
   * displacement field if none of its transforms is optimised, and refuses it unless it is one. */
  bool
  HasLocalSupport() const override
  {
    return this->GetNumberOfParameters() > 0 && Superclass::HasLocalSupport();
  }

  /** Load the model unless it is loaded, check the images, and sample the fixed image. */
  void
  Initialize() override;

  MeasureType
  GetValue() const override;

  void
  GetDerivative(DerivativeType & derivative) const override;

  void
  GetValueAndDerivative(MeasureType & value, DerivativeType & derivative) const override;

  /** Dissimilarity and derivative place by place, over the whole grid (Figure 1 of the paper). */
  cnnmetric::Maps
  GetMaps() const;

  /** Use other random blocks from the next evaluation on, also after Initialize(). */
  void
  DrawNewBlocks();

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

  /** What an evaluation relies on and Initialize() has seen. */
  struct Inputs
  {
    typename Superclass::FixedImageMaskConstPointer fixedMask{};
    typename Superclass::VirtualImageConstPointer   virtualImage{};
    SmartPointer<const LightObject>                 fixedTransform{};
    ModifiedTimeType                                fixedTransformTime{};
  };

  Inputs
  GetInputs() const;

  /** Throw Error if something is absent that every evaluation needs. */
  void
  CheckPresence() const;

  /** Throw Error if something was changed after Initialize() that an evaluation cannot do without. */
  void
  CheckInputs() const;

  /** Run work(warp, numberOfWorkers), and keep the numbers that functions of the superclass return. */
  template <typename TWork>
  MeasureType
  EvaluateBy(const TWork & work) const;

  cnnmetric::Settings m_Settings{};
  double              m_RequiredRatioOfValidSamples{ 0.25 };
  unsigned int        m_Seed{ 121212 };
  /** Of the blocks that are in use: the seed, or what DrawNewBlocks() has made of it. */
  unsigned int                        m_SeedOfBlocks{ m_Seed };
  SmartPointer<const FixedImageType>  m_OriginalFixedImage{};
  SmartPointer<const MovingImageType> m_OriginalMovingImage{};
  typename GeneratorType::Pointer     m_Generator{ GeneratorType::New() };
  /** Mutable, because it draws its blocks in the first evaluation, and ITK declares evaluations const. */
  mutable PatchMetricType m_PatchMetric{};
  Inputs                  m_Inputs{};
  /** Held while the metric is initialised or evaluated, but not while Python is called: a thread that has Python's lock
   * may wait for this one. */
  mutable std::mutex m_Mutex{};
};

} // namespace itk

#ifndef ITK_MANUAL_INSTANTIATION
#  include "itkCNNImageToImageMetricv4.hxx"
#endif

#endif
