// SPDX-License-Identifier: Apache-2.0
#ifndef elxCNNMetric_h
#define elxCNNMetric_h

#include "elxIncludes.h" // include first, as elastix's own components do
#include "itkCNNImageToImageMetric.h"

#include <chrono>
#include <optional>
#include <string>

namespace elastix
{

/**
 * \class CNNMetric
 * \brief The learned metric of Simonovsky et al. 2016 as an elastix component.
 *
 * This class reads the parameter file, writes to the log, and forwards to itk::CNNImageToImageMetric.
 *
 * The parameters used in this class are (one value, or one per resolution):
 * \parameter Metric: Select this metric as follows:\n
 *    <tt>(Metric "CNNMetric")</tt>
 * \parameter CNNMetricModel: name of an installed model, or path of an .onnx file.\n
 *    <tt>(CNNMetricModel "any")</tt>\n
 *    The default is "any".
 * \parameter CNNMetricFixedModality: which of the model's two modalities the fixed image is.\n
 *    <tt>(CNNMetricFixedModality "T1")</tt>\n
 *    The default is the model's first modality.
 * \parameter CNNMetricSampling: "Blocks" for random blocks, "Full" for the whole image.\n
 *    <tt>(CNNMetricSampling "Blocks")</tt>\n
 *    The default depends on ImageSampler: "Full" for "Full" and "Grid", "Blocks" for the random samplers and where
 *    there is none.
 * \parameter CNNMetricNumberOfBlocks: number of random blocks per evaluation. They are drawn anew in every iteration if
 *    NewSamplesEveryIteration is "true".\n
 *    <tt>(CNNMetricNumberOfBlocks 8)</tt>\n
 *    The default is as many as hold NumberOfSpatialSamples patches; 8 where that is not given. At most 10000.
 * \parameter CNNMetricBlockSize: edge of a block, or of a tile in Full mode, in voxels of the evaluation grid:
 *    receptive field + k stride.\n
 *    <tt>(CNNMetricBlockSize 27)</tt>\n
 *    The default is the size nearest to 33 that fits the model.
 * \parameter CNNMetricGridSpacing: voxel size of the evaluation grid in mm.\n
 *    <tt>(CNNMetricGridSpacing 2.0 1.0)</tt>\n
 *    The default is the model's training voxel size times the level's FixedImagePyramidSchedule factor; less, with a
 *    warning, where the fixed image would hold no patch.
 * \parameter CNNMetricDevice: "auto", "cpu" or "cuda:N".\n
 *    <tt>(CNNMetricDevice "auto")</tt>\n
 *    The default is "auto": the first CUDA device if it can be used, else the CPU.
 * \parameter CNNMetricNumberOfThreads: threads of this metric; 0 for as many as elastix uses.\n
 *    <tt>(CNNMetricNumberOfThreads 0)</tt>\n
 *    The default is 0. At most 1024.
 * \parameter CNNMetricProfile: whether the log gets a table of where the time went, at the end of every resolution.\n
 *    <tt>(CNNMetricProfile "true")</tt>\n
 *    The default is "false".
 *
 * \ingroup Metrics
 */
template <typename TElastix>
class ITK_TEMPLATE_EXPORT CNNMetric
  : public itk::CNNImageToImageMetric<typename MetricBase<TElastix>::FixedImageType,
                                      typename MetricBase<TElastix>::MovingImageType>
  , public MetricBase<TElastix>
{
public:
  ITK_DISALLOW_COPY_AND_MOVE(CNNMetric);

  using Self = CNNMetric;
  using Superclass1 = itk::CNNImageToImageMetric<typename MetricBase<TElastix>::FixedImageType,
                                                 typename MetricBase<TElastix>::MovingImageType>;
  using Superclass2 = MetricBase<TElastix>;
  using Pointer = itk::SmartPointer<Self>;
  using ConstPointer = itk::SmartPointer<const Self>;

  itkNewMacro(Self);
  itkOverrideGetNameOfClassMacro(CNNMetric);
  elxClassNameMacro("CNNMetric");

  using typename Superclass1::DerivativeType;
  using typename Superclass1::MeasureType;
  using typename Superclass1::TransformParametersType;

  /** Use an image sampler if the parameter file names one. elastix hands out the samplers after this. */
  int
  BeforeAll() override;

  /** Refuse images that the pyramid cannot smooth, because it would say so in words of its own. */
  void
  BeforeRegistration() override;

  /** Read this level's parameters. */
  void
  BeforeEachResolution() override;

  /** Write where the time of this level went to the log, if the user asks for it. */
  void
  AfterEachResolution() override;

  /** Report the iteration to the caller of the registration (cnnmetric::Hooks). */
  void
  AfterEachIteration() override;

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

  /** Draw new blocks. elastix calls this if NewSamplesEveryIteration is "true". */
  void
  SelectNewSamples() override;

protected:
  CNNMetric() = default;
  ~CNNMetric() override = default;

  /** The value over the whole grid. elastix asks for it if ShowExactMetricValue is "true". */
  typename Superclass2::MeasureType
  GetExactValue(const typename Superclass2::ParametersType & parameters) override;

private:
  elxOverrideGetSelfMacro;

  cnnmetric::Settings
  ReadSettings(unsigned int level) const;

  /** Whether the user wants a table of where the time goes. */
  bool
  ReadProfile(unsigned int level) const;

  /** The value of a parameter for this metric's label and this level; nothing if it is not given. */
  template <typename TValue>
  std::optional<TValue>
  Read(const std::string & name, unsigned int level) const;

  /** Whether the parameter file says how many samples this metric's sampler takes. */
  bool
  HasNumberOfSpatialSamples() const;

  /** The pyramid of this metric's fixed image: its own, or the last one where there are fewer than metrics. */
  typename TElastix::FixedImagePyramidBaseType *
  GetFixedImagePyramid() const;

  /** Number of this metric in a multi-metric registration. */
  unsigned int
  GetMetricIndex() const;

  /** Run an evaluation in cnnmetric::Guard, unless the caller of the registration wants to stop. */
  template <typename TWork>
  auto
  GuardEvaluation(const TWork & work) const;

  /** The value of the optimizer's last evaluation, for AfterEachIteration(). */
  mutable MeasureType                   m_LastValue{};
  bool                                  m_WantsProfile{};
  std::chrono::steady_clock::time_point m_StartOfLevel{};
};

} // namespace elastix

#ifndef ITK_MANUAL_INSTANTIATION
#  include "elxCNNMetric.hxx"
#endif

#endif
