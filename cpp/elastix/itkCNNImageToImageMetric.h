// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetric_h
#define itkCNNImageToImageMetric_h

#include "cnnmetricEvaluator.h"

#include "itkAdvancedImageToImageMetric.h"

#include <memory>
#include <string>
#include <vector>

namespace itk
{

/** \class CNNImageToImageMetric
 * \brief elastix's interface to the learned metric: translates, computes nothing itself.
 *
 * The mathematics is in cnnmetric::Evaluator. This class hands it elastix's images, masks and threads, and wraps elastix's
 * interpolator and transform into a cnnmetric::Warp.
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

  itkStaticConstMacro(ImageDimension, unsigned int, TFixedImage::ImageDimension);
  static_assert(TFixedImage::ImageDimension == TMovingImage::ImageDimension);

  using EvaluatorType = cnnmetric::Evaluator<ImageDimension>;
  using BlocksType = typename EvaluatorType::BlocksType;

  /** Which blocks an evaluation uses (CNNMetricSampling). */
  enum class SamplingEnum
  {
    Full,
    Blocks
  };

  /** Everything a parameter file can say about one resolution. */
  struct Settings
  {
    /** Path of the .onnx file. */
    std::string modelPath{};
    /** Name of the fixed image's modality; empty: the model's first one. */
    std::string  fixedModality{};
    SamplingEnum sampling{ SamplingEnum::Blocks };
    unsigned int numberOfBlocks{ 8 };
    /** Edge in voxels; of a random block, or of a tile in Full mode. */
    unsigned int blockSize{ 33 };
    /** Distance of the voxels of the evaluation grid in mm; 0: the model's own spacing times gridFactor. */
    double gridSpacing{ 0.0 };
    /** Downsampling factor of the resolution level. */
    double      gridFactor{ 1.0 };
    std::string device{ "auto" };
    /** 0: as many as elastix was told to use. */
    unsigned int numberOfThreads{ 0 };
  };

  void
  SetSettings(const Settings & settings)
  {
    m_Settings = settings;
  }

  /** The full-resolution images, from which the intensity normalisation is taken at every level. */
  void
  SetOriginalImages(const FixedImageType * fixedImage, const MovingImageType * movingImage)
  {
    m_OriginalFixedImage = fixedImage;
    m_OriginalMovingImage = movingImage;
  }

  /** Loads the model if it is not yet loaded, checks the images, samples the fixed image. */
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

  /** The value over the whole grid, whatever the sampling. */
  MeasureType
  GetFullValue(const TransformParametersType & parameters) const;

  /** N(P) for every patch of the grid, first axis fastest; NaN where a patch does not count. */
  std::vector<float>
  GetDissimilarityMap(const TransformParametersType & parameters) const;

  /** Draw new random blocks at the next evaluation. */
  void
  DrawNewBlocks()
  {
    m_Blocks.clear();
  }

  /** One paragraph for the log; valid after Initialize(). */
  std::string
  DescribeSetup() const;

  const EvaluatorType &
  GetEvaluator() const
  {
    return *m_Evaluator;
  }

protected:
  CNNImageToImageMetric() = default;
  ~CNNImageToImageMetric() override = default;

private:
  class AdvancedWarp;

  cnnmetric::Evaluation
  EvaluateBlocks(const TransformParametersType & parameters,
                 const BlocksType &              blocks,
                 double *                        derivative,
                 std::vector<float> *            map = nullptr) const;

  unsigned int
  GetNumberOfWorkers() const;

  const BlocksType &
  GetBlocks() const;

  unsigned int
  FindFixedChannel() const;

  void
  CheckValidPatches(const cnnmetric::Evaluation & evaluation) const;

  Settings                                  m_Settings{};
  SmartPointer<const FixedImageType>        m_OriginalFixedImage{};
  SmartPointer<const MovingImageType>       m_OriginalMovingImage{};
  std::shared_ptr<const cnnmetric::Network> m_Network{};
  std::string                               m_NetworkDevice{};
  std::unique_ptr<const EvaluatorType>      m_Evaluator{};
  double                                    m_GridSpacing{};
  /** Empty: to be drawn. */
  mutable BlocksType m_Blocks{};
};

} // namespace itk

#ifndef ITK_MANUAL_INSTANTIATION
#  include "itkCNNImageToImageMetric.hxx"
#endif

#endif
