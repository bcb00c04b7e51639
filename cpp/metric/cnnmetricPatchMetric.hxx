// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricPatchMetric_hxx
#define cnnmetricPatchMetric_hxx

#include <algorithm>
#include <cmath>
#include <thread>

namespace cnnmetric
{

template <unsigned int VDimension>
void
PatchMetric<VDimension>::Configure(const Settings & settings)
{
  CheckSettings(settings);
  m_Settings = settings;
  m_Evaluator.reset();
  if (!m_Network || m_Network->GetInformation().path != settings.modelPath || m_NetworkDevice != settings.device)
  {
    // One thread per call, because Evaluator::Evaluate spreads the blocks over the threads.
    m_Network = std::make_shared<const Network>(settings.modelPath, settings.device, 1);
    m_NetworkDevice = settings.device;
  }
  const ModelInformation & model = m_Network->GetInformation();
  if (model.dimension != VDimension)
  {
    throw Error("Model '" + model.path + "' is " + std::to_string(model.dimension) + "D but the images are " +
                std::to_string(VDimension) + "D. Use a model that was trained for this dimension.");
  }
}


template <unsigned int VDimension>
template <typename TFixedImage, typename TMovingImage>
void
PatchMetric<VDimension>::StartLevel(const ImageBaseType &                      gridImage,
                                    const typename ImageBaseType::RegionType & gridRegion,
                                    const FixedDomain &                        fixedDomain,
                                    const TFixedImage &                        originalFixedImage,
                                    const TMovingImage &                       originalMovingImage)
{
  const ModelInformation & model = m_Network->GetInformation();
  const auto               normalise = [&model, this](const auto & image, const char * const role) {
    auto normalisation = IntensityNormalisation::FromImage(image, model.lowerQuantile, model.upperQuantile, role);
    Warn(normalisation.GetWarning());
    return normalisation;
  };
  m_Warning.clear();
  m_Profile = {};
  std::string ofModality;
  m_FixedChannel = m_Network->FindFixedChannel(m_Settings.fixedModality, ofModality);
  Warn(ofModality);
  m_GridSpacing = ChooseGridSpacing({ gridImage, gridRegion });
  const typename EvaluatorType::GridType grid(gridImage, gridRegion, m_GridSpacing, model.receptiveField, model.stride);
  m_Evaluator = std::make_unique<const EvaluatorType>(m_Network,
                                                      m_FixedChannel,
                                                      grid,
                                                      fixedDomain,
                                                      normalise(originalFixedImage, "fixed"),
                                                      normalise(originalMovingImage, "moving"));
  m_BlockSize = m_Evaluator->NearestBlockSize(m_Settings.blockSize.value_or(Settings::DefaultBlockSize));
  CheckBlockSize();
  m_Tiles = m_Evaluator->TileAll(m_BlockSize);
  DrawNewBlocks();
}


template <unsigned int VDimension>
void
PatchMetric<VDimension>::CheckSettings(const Settings & settings)
{
  const unsigned int numberOfBlocks = settings.numberOfBlocks.value_or(Settings::DefaultNumberOfBlocks);
  if (numberOfBlocks < 1 || numberOfBlocks > Settings::LargestNumberOfBlocks)
  {
    throw Error("CNNMetricNumberOfBlocks is " + std::to_string(numberOfBlocks) +
                " but must be at least 1 and at most " + std::to_string(Settings::LargestNumberOfBlocks) +
                ". To evaluate every patch, write (CNNMetricSampling \"Full\").");
  }
  if (!(settings.gridSpacing >= 0.0 && std::isfinite(settings.gridSpacing)))
  {
    throw Error("CNNMetricGridSpacing is " + ToText(settings.gridSpacing) +
                " but must be a positive number of mm. Leave it out for the default.");
  }
  if (settings.numberOfThreads > Settings::LargestNumberOfThreads)
  {
    throw Error("CNNMetricNumberOfThreads is " + std::to_string(settings.numberOfThreads) + " but must be at most " +
                std::to_string(Settings::LargestNumberOfThreads) + "; 0 is as many as the framework uses.");
  }
}


template <unsigned int VDimension>
double
PatchMetric<VDimension>::ChooseGridSpacing(const GridSize<VDimension> & gridSize)
{
  if (m_Settings.gridSpacing > 0.0)
  {
    return m_Settings.gridSpacing;
  }
  const ModelInformation & model = m_Network->GetInformation();
  const double             wanted = model.spacing * m_Settings.gridFactor;
  const double             chosen =
    gridSize.ChooseSpacing(model.spacing, m_Settings.gridFactor, model.receptiveField, model.stride);
  if (chosen < wanted)
  {
    Warn("At the grid spacing of " + ToText(wanted) + " mm that comes from the pyramid, a patch of " +
           std::to_string(model.receptiveField) + " voxels is larger than the fixed image, so the grid spacing is " +
           ToText(chosen) +
           " mm, and so on at later resolutions (the log has their spacings). To choose it yourself, write "
           "CNNMetricGridSpacing, or use fewer resolutions.",
         "grid spacing");
  }
  return chosen;
}


template <unsigned int VDimension>
void
PatchMetric<VDimension>::CheckBlockSize() const
{
  const auto & grid = m_Evaluator->GetGrid();
  double       voxels = 1.0;
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    voxels *= std::min(static_cast<double>(m_BlockSize), static_cast<double>(grid.GetSize()[d]));
  }
  if (voxels > Settings::LargestBlock)
  {
    throw Error("CNNMetricBlockSize is " + std::to_string(m_BlockSize) + ", so that a block has " +
                ToText(std::floor(voxels / 1e6)) + " million voxels, more than " +
                ToText(std::floor(Settings::LargestBlock / 1e6)) + " million" +
                ". Lower it; the result of Full sampling does not depend on it.");
  }
}


template <unsigned int VDimension>
void
PatchMetric<VDimension>::Warn(const std::string & text, const std::string & name)
{
  if (!text.empty() && m_Warned.insert(name.empty() ? text : name).second)
  {
    m_Warning += (m_Warning.empty() ? "" : " ") + text;
  }
}


template <unsigned int VDimension>
void
PatchMetric<VDimension>::WarnOfCost(const SamplingRequest & request)
{
  const unsigned int numberOfBlocks = GetNumberOfBlocks(request);
  if (m_Settings.numberOfBlocks || numberOfBlocks <= Settings::DefaultNumberOfBlocks)
  {
    return;
  }
  TextStream text;
  text << "NumberOfSpatialSamples " << request.numberOfPatches << " counts patches here, not voxels: " << numberOfBlocks
       << " blocks of " << m_BlockSize << " voxels along every axis in each iteration, "
       << static_cast<double>(numberOfBlocks) / Settings::DefaultNumberOfBlocks << " times the work of the default. "
       << "For less, write (CNNMetricNumberOfBlocks " << Settings::DefaultNumberOfBlocks << ").";
  Warn(text.str(), "number of samples");
}


template <unsigned int VDimension>
Evaluation
PatchMetric<VDimension>::Evaluate(const WarpType &        warp,
                                  const SamplingRequest & request,
                                  const ValidityRule &    rule,
                                  GeneratorType &         generator,
                                  const unsigned int      numberOfWorkers,
                                  double * const          derivative)
{
  const Evaluation evaluation =
    GetEvaluator().Evaluate(warp, GetBlocks(request, generator), numberOfWorkers, derivative);
  m_Profile += evaluation.profile;
  CheckValidPatches(evaluation, rule);
  return evaluation;
}


template <unsigned int VDimension>
Evaluation
PatchMetric<VDimension>::EvaluateFull(const WarpType &     warp,
                                      const ValidityRule & rule,
                                      const unsigned int   numberOfWorkers,
                                      Maps * const         maps)
{
  // Memory even for a transform without parameters, as the identity: its map has a derivative as well.
  std::vector<double> derivative(maps ? std::max<std::size_t>(1, warp.GetNumberOfParameters()) : 0);
  const Evaluation    evaluation =
    GetEvaluator().Evaluate(warp, m_Tiles, numberOfWorkers, maps ? derivative.data() : nullptr, maps);
  m_Profile += evaluation.profile;
  CheckValidPatches(evaluation, rule);
  return evaluation;
}


template <unsigned int VDimension>
unsigned int
PatchMetric<VDimension>::GetNumberOfWorkers(const unsigned int numberOfWorkUnits) const
{
  if (m_Settings.numberOfThreads > 0)
  {
    return m_Settings.numberOfThreads;
  }
  // ITK cuts its work into several units per processor. Here each unit holds the activations of a network, so there is
  // one per processor that this process may use (hardware_concurrency respects CPU affinity).
  return std::max(1u, std::min(numberOfWorkUnits, std::thread::hardware_concurrency()));
}


template <unsigned int VDimension>
auto
PatchMetric<VDimension>::GetEvaluator() const -> const EvaluatorType &
{
  if (!m_Evaluator)
  {
    throw Error("The metric has no images yet: Initialize() has to be called, and to succeed, before it is evaluated.");
  }
  return *m_Evaluator;
}


template <unsigned int VDimension>
unsigned int
PatchMetric<VDimension>::GetNumberOfBlocks(const SamplingRequest & request) const
{
  if (m_Settings.sampling.value_or(request.sampling) == Sampling::Full)
  {
    return 0;
  }
  if (m_Settings.numberOfBlocks || request.numberOfPatches == 0)
  {
    return m_Settings.numberOfBlocks.value_or(Settings::DefaultNumberOfBlocks);
  }
  if (request.numberOfPatches >= m_Evaluator->GetNumberOfPatches() && !m_Settings.sampling)
  {
    return 0;
  }
  const std::size_t perBlock = m_Evaluator->GetNumberOfPatchesPerBlock(m_BlockSize);
  const std::size_t numberOfBlocks = (request.numberOfPatches + perBlock - 1) / perBlock;
  if (numberOfBlocks > Settings::LargestNumberOfBlocks)
  {
    throw Error("NumberOfSpatialSamples asks for " + std::to_string(request.numberOfPatches) + " patches, which are " +
                std::to_string(numberOfBlocks) + " random blocks, more than " +
                std::to_string(Settings::LargestNumberOfBlocks) +
                ". Lower it, or write (CNNMetricSampling \"Full\") for every patch.");
  }
  return static_cast<unsigned int>(numberOfBlocks);
}


template <unsigned int VDimension>
auto
PatchMetric<VDimension>::GetBlocks(const SamplingRequest & request, GeneratorType & generator) -> const BlocksType &
{
  const unsigned int numberOfBlocks = GetNumberOfBlocks(request);
  if (numberOfBlocks == 0)
  {
    return m_Tiles;
  }
  if (m_RandomBlocks.size() != numberOfBlocks)
  {
    m_RandomBlocks = m_Evaluator->DrawBlocks(numberOfBlocks, m_BlockSize, generator);
  }
  return m_RandomBlocks;
}


template <unsigned int VDimension>
void
PatchMetric<VDimension>::CheckValidPatches(const Evaluation & evaluation, const ValidityRule & rule)
{
  const auto required = rule.requiredRatio * static_cast<double>(evaluation.numberOfFixedPatches);
  if (evaluation.numberOfValidPatches > 0 && static_cast<double>(evaluation.numberOfValidPatches) >= required)
  {
    return;
  }
  TextStream message;
  message << "Too few patches are left to compare: of " << evaluation.numberOfFixedPatches << " evaluated patches"
          << (rule.hasFixedMask ? " inside the fixed mask, " : ", ") << evaluation.numberOfPatchesInBuffer
          << " map into the moving image's buffer";
  if (rule.hasMovingMask)
  {
    message << " and " << evaluation.numberOfValidPatches << " of these into the moving mask";
  }
  message << "; RequiredRatioOfValidSamples asks for a share of " << rule.requiredRatio
          << ". Check the initial transform" << (rule.hasMovingMask ? " and the moving mask" : "")
          << ", or lower the ratio.";
  throw Error(message.str());
}


template <unsigned int VDimension>
std::string
PatchMetric<VDimension>::Describe(const SamplingRequest & request, const unsigned int numberOfWorkers) const
{
  const ModelInformation & model = m_Network->GetInformation();
  TextStream               text;
  text << "CNNMetric: model " << model.path << ", fixed " << model.modalities[m_FixedChannel] << ", moving "
       << model.modalities[1 - m_FixedChannel] << ", patch " << model.receptiveField << " voxels, stride "
       << model.stride << ", grid spacing " << m_GridSpacing << " mm, patches";
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    text << (d ? " x " : " ") << GetEvaluator().GetGrid().GetNumberOfPatches()[d];
  }
  text << ", sampling ";
  if (const unsigned int numberOfBlocks = GetNumberOfBlocks(request))
  {
    text << numberOfBlocks << " blocks of " << m_BlockSize << " voxels ("
         << m_Evaluator->GetNumberOfPatchesPerBlock(m_BlockSize) << " patches each)";
  }
  else
  {
    text << "Full in " << m_Tiles.size() << " tiles of up to " << m_BlockSize << " voxels";
  }
  text << ", " << numberOfWorkers << " threads, " << m_Network->GetDeviceReport() << '.';
  return text.str();
}

} // namespace cnnmetric

#endif
