// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetric_hxx
#define itkCNNImageToImageMetric_hxx

#include "itkCNNImageToImageMetric.h"

#include <algorithm>
#include <sstream>
#include <thread>

namespace itk
{

/**
 * ******************* AdvancedWarp ***********************
 */

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
    // RecursiveBSplineTransform (elastix 5.3.1) writes nothing for a point outside of its grid, where the Jacobian is zero.
    scratch.imageJacobian.Fill(0.0);
    m_Transform.EvaluateJacobianWithImageGradientProduct(x, metricGradient, scratch.imageJacobian, scratch.nonZeroIndices);
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


/**
 * ******************* Initialize ***********************
 */

template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::Initialize()
{
  // Before the superclass, which gives every thread of the interpolator its scratch memory.
  if (m_Settings.numberOfThreads > 0)
  {
    this->SetNumberOfWorkUnits(m_Settings.numberOfThreads);
  }
  Superclass::Initialize();

  if (!m_Network || m_Network->GetInformation().path != m_Settings.modelPath || m_NetworkDevice != m_Settings.device)
  {
    // One thread per call: the blocks are spread over the threads, see Evaluator::Evaluate.
    m_Network = std::make_shared<const cnnmetric::Network>(m_Settings.modelPath, m_Settings.device, 1);
    m_NetworkDevice = m_Settings.device;
  }
  const cnnmetric::ModelInformation & model = m_Network->GetInformation();
  if (model.dimension != ImageDimension)
  {
    throw cnnmetric::Error("Model '" + model.path + "' is " + std::to_string(model.dimension) + "D but the images are " +
                           std::to_string(ImageDimension) + "D. Use a model that was trained for this dimension.");
  }

  const auto & originalFixedImage = m_OriginalFixedImage ? *m_OriginalFixedImage : *this->GetFixedImage();
  const auto & originalMovingImage = m_OriginalMovingImage ? *m_OriginalMovingImage : *this->GetMovingImage();
  const auto   normalise = [&model](const auto & image, const char * const role) {
    return cnnmetric::IntensityNormalisation::FromImage(image, model.lowerQuantile, model.upperQuantile, role);
  };

  m_GridSpacing = m_Settings.gridSpacing > 0.0 ? m_Settings.gridSpacing : model.spacing * m_Settings.gridFactor;
  const typename EvaluatorType::GridType grid(
    *this->GetFixedImage(), this->GetFixedImageRegion(), m_GridSpacing, model.receptiveField, model.stride);
  m_Evaluator = std::make_unique<const EvaluatorType>(m_Network,
                                                      FindFixedChannel(),
                                                      grid,
                                                      *this->GetFixedImage(),
                                                      this->GetFixedImageMask(),
                                                      normalise(originalFixedImage, "fixed"),
                                                      normalise(originalMovingImage, "moving"));
  DrawNewBlocks();

} // end Initialize()


/**
 * ******************* GetValue ***********************
 */

template <typename TFixedImage, typename TMovingImage>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetValue(const TransformParametersType & parameters) const -> MeasureType
{
  return EvaluateBlocks(parameters, GetBlocks(), nullptr).value;

} // end GetValue()


/**
 * ******************* GetDerivative ***********************
 */

template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetDerivative(const TransformParametersType & parameters,
                                                                DerivativeType &                derivative) const
{
  MeasureType value{};
  this->GetValueAndDerivative(parameters, value, derivative);

} // end GetDerivative()


/**
 * ******************* GetValueAndDerivative ***********************
 */

template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetValueAndDerivative(const TransformParametersType & parameters,
                                                                        MeasureType &                   value,
                                                                        DerivativeType &                derivative) const
{
  derivative.SetSize(this->GetNumberOfParameters());
  value = EvaluateBlocks(parameters, GetBlocks(), derivative.data_block()).value;

} // end GetValueAndDerivative()


/**
 * ******************* GetFullValue ***********************
 */

template <typename TFixedImage, typename TMovingImage>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetFullValue(const TransformParametersType & parameters) const -> MeasureType
{
  return EvaluateBlocks(parameters, m_Evaluator->TileAll(m_Settings.blockSize), nullptr).value;

} // end GetFullValue()


/**
 * ******************* GetDissimilarityMap ***********************
 */

template <typename TFixedImage, typename TMovingImage>
std::vector<float>
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetDissimilarityMap(const TransformParametersType & parameters) const
{
  std::vector<float> map;
  EvaluateBlocks(parameters, m_Evaluator->TileAll(m_Settings.blockSize), nullptr, &map);
  return map;

} // end GetDissimilarityMap()


/**
 * ******************* EvaluateBlocks ***********************
 */

template <typename TFixedImage, typename TMovingImage>
cnnmetric::Evaluation
CNNImageToImageMetric<TFixedImage, TMovingImage>::EvaluateBlocks(const TransformParametersType & parameters,
                                                                 const BlocksType &              blocks,
                                                                 double * const                  derivative,
                                                                 std::vector<float> * const      map) const
{
  // Sets the transform's parameters, unless a multi-metric does that for all of its metrics.
  this->BeforeThreadedGetValueAndDerivative(parameters);

  const unsigned int numberOfWorkers = GetNumberOfWorkers();
  const AdvancedWarp warp(*this, numberOfWorkers);
  const auto         evaluation = m_Evaluator->Evaluate(warp, blocks, numberOfWorkers, derivative, map);
  this->m_NumberOfPixelsCounted = evaluation.numberOfValidPatches;
  CheckValidPatches(evaluation);
  return evaluation;

} // end EvaluateBlocks()


/**
 * ******************* GetNumberOfWorkers ***********************
 */

template <typename TFixedImage, typename TMovingImage>
unsigned int
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetNumberOfWorkers() const
{
  if (!this->GetUseMultiThread())
  {
    return 1;
  }
  if (m_Settings.numberOfThreads > 0)
  {
    return m_Settings.numberOfThreads;
  }
  // ITK cuts its work into several units per processor. Ours hold a network's activations each, so there is one per processor
  // that this process may use (hardware_concurrency respects CPU affinity).
  return std::max(1u, std::min<unsigned int>(this->GetNumberOfWorkUnits(), std::thread::hardware_concurrency()));

} // end GetNumberOfWorkers()


/**
 * ******************* GetBlocks ***********************
 */

template <typename TFixedImage, typename TMovingImage>
auto
CNNImageToImageMetric<TFixedImage, TMovingImage>::GetBlocks() const -> const BlocksType &
{
  if (m_Blocks.empty())
  {
    m_Blocks =
      m_Settings.sampling == SamplingEnum::Full
        ? m_Evaluator->TileAll(m_Settings.blockSize)
        : m_Evaluator->DrawBlocks(m_Settings.numberOfBlocks, m_Settings.blockSize, this->GetMutableRandomVariateGenerator());
  }
  return m_Blocks;

} // end GetBlocks()


/**
 * ******************* FindFixedChannel ***********************
 */

template <typename TFixedImage, typename TMovingImage>
unsigned int
CNNImageToImageMetric<TFixedImage, TMovingImage>::FindFixedChannel() const
{
  const auto & modalities = m_Network->GetInformation().modalities;
  for (unsigned int channel = 0; channel < 2; ++channel)
  {
    if (m_Settings.fixedModality == modalities[channel] || (channel == 0 && m_Settings.fixedModality.empty()))
    {
      return channel;
    }
  }
  throw cnnmetric::Error("CNNMetricFixedModality \"" + m_Settings.fixedModality + "\" is not a modality of model '" +
                         m_Network->GetInformation().path + "', which compares \"" + modalities[0] + "\" and \"" + modalities[1] +
                         "\". Name the one that the fixed image is.");

} // end FindFixedChannel()


/**
 * ******************* CheckValidPatches ***********************
 */

template <typename TFixedImage, typename TMovingImage>
void
CNNImageToImageMetric<TFixedImage, TMovingImage>::CheckValidPatches(const cnnmetric::Evaluation & evaluation) const
{
  const auto required = this->GetRequiredRatioOfValidSamples() * static_cast<double>(evaluation.numberOfFixedPatches);
  if (evaluation.numberOfValidPatches > 0 && static_cast<double>(evaluation.numberOfValidPatches) >= required)
  {
    return;
  }
  std::ostringstream message;
  message << "Too few patches are left to compare: of " << evaluation.numberOfFixedPatches << " evaluated patches"
          << (this->GetFixedImageMask() ? " inside the fixed mask, " : ", ") << evaluation.numberOfPatchesInBuffer
          << " map into the moving image's buffer";
  if (this->GetMovingImageMask())
  {
    message << " and " << evaluation.numberOfValidPatches << " of these into the moving mask";
  }
  message << "; RequiredRatioOfValidSamples asks for a share of " << this->GetRequiredRatioOfValidSamples()
          << ". Check the initial transform" << (this->GetMovingImageMask() ? " and the moving mask" : "")
          << ", or lower the ratio.";
  throw cnnmetric::Error(message.str());

} // end CheckValidPatches()


/**
 * ******************* DescribeSetup ***********************
 */

template <typename TFixedImage, typename TMovingImage>
std::string
CNNImageToImageMetric<TFixedImage, TMovingImage>::DescribeSetup() const
{
  const auto &       model = m_Network->GetInformation();
  const unsigned int fixedChannel = FindFixedChannel();
  const auto &       patches = m_Evaluator->GetGrid().GetNumberOfPatches();
  std::ostringstream text;
  text << "CNNMetric: model " << model.path << ", fixed " << model.modalities[fixedChannel] << ", moving "
       << model.modalities[1 - fixedChannel] << ", patch " << model.receptiveField << " voxels, stride " << model.stride
       << ", grid spacing " << m_GridSpacing << " mm, patches";
  for (unsigned int d = 0; d < ImageDimension; ++d)
  {
    text << (d ? " x " : " ") << patches[d];
  }
  text << ", sampling ";
  if (m_Settings.sampling == SamplingEnum::Full)
  {
    text << "Full in tiles of " << m_Settings.blockSize << " voxels";
  }
  else
  {
    text << m_Settings.numberOfBlocks << " blocks of " << m_Settings.blockSize << " voxels";
  }
  text << ", " << GetNumberOfWorkers() << " threads, " << m_Network->GetDeviceReport() << '.';
  return text.str();

} // end DescribeSetup()

} // end namespace itk

#endif
