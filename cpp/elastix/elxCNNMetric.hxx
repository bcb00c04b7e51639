// SPDX-License-Identifier: Apache-2.0
#ifndef elxCNNMetric_hxx
#define elxCNNMetric_hxx

#include "cnnmetricHooks.h"
#include "cnnmetricLastError.h"
#include "cnnmetricModelDirectory.h"
#include "cnnmetricText.h"
#include "elxCNNMetric.h"
#include "elxStepSize.h"

#include <itkDeref.h>
#include <itkTimeProbe.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace elastix
{

template <typename TElastix>
template <typename TWork>
auto
CNNMetric<TElastix>::GuardEvaluation(const TWork & work) const
{
  return cnnmetric::Guard([&work] {
    cnnmetric::StopUnless(cnnmetric::GetHooks().mayGoOn());
    return work();
  });
}


template <typename TElastix>
int
CNNMetric<TElastix>::BeforeAll()
{
  this->SetUseImageSampler(itk::Deref(this->GetElastix()).GetNumberOfImageSamplers() > 0);
  return 0;
}


template <typename TElastix>
void
CNNMetric<TElastix>::BeforeRegistration()
{
  cnnmetric::Guard([this] {
    unsigned int numberOfLevels = 3; // elastix's default
    itk::Deref(Superclass2::GetConfiguration())
      .ReadParameter(numberOfLevels, "NumberOfResolutions", this->GetComponentLabel(), 0, 0, false);
    const auto check = [=](const auto & image, const std::string & role, const std::string & pyramid) {
      const auto size = image.GetLargestPossibleRegion().GetSize();
      // ITK's recursive Gaussian filter needs four voxels, and leaves out an axis of one voxel.
      const auto isTooThin = [](const auto length) { return length > 1 && length < 4; };
      const bool smooths = pyramid.find("Smoothing") != std::string::npos ||
                           (pyramid.find("Generic") != std::string::npos && numberOfLevels > 1);
      if (smooths && std::any_of(size.begin(), size.end(), isTooThin))
      {
        throw cnnmetric::Error("The " + role + " image has " + cnnmetric::JoinAxes(size) + " voxels, but " + pyramid +
                               " needs at least 4 along every axis, and a patch of the network needs more. Pad or "
                               "resample the image, or register its slices with a model for 2D images.");
      }
    };
    const auto & elastix = itk::Deref(this->GetElastix());
    const auto   index = GetMetricIndex();
    check(itk::Deref(elastix.GetFixedImage(std::min(index, elastix.GetNumberOfFixedImages() - 1))),
          "fixed",
          itk::Deref(GetFixedImagePyramid()).elxGetClassName());
    check(
      itk::Deref(elastix.GetMovingImage(std::min(index, elastix.GetNumberOfMovingImages() - 1))),
      "moving",
      itk::Deref(elastix.GetElxMovingImagePyramidBase(std::min(index, elastix.GetNumberOfMovingImagePyramids() - 1)))
        .elxGetClassName());
  });
}


template <typename TElastix>
void
CNNMetric<TElastix>::BeforeEachResolution()
{
  cnnmetric::Guard([this] {
    const unsigned int level = this->m_Registration->GetAsITKBaseType()->GetCurrentLevel();
    this->SetSettings(ReadSettings(level));
    m_WantsProfile = ReadProfile(level);
    m_StartOfLevel = std::chrono::steady_clock::now();
    this->SetUseNumberOfSpatialSamples(HasNumberOfSpatialSamples());

    const auto & elastix = itk::Deref(this->GetElastix());
    const auto   index = GetMetricIndex();
    this->SetOriginalImages(elastix.GetFixedImage(std::min(index, elastix.GetNumberOfFixedImages() - 1)),
                            elastix.GetMovingImage(std::min(index, elastix.GetNumberOfMovingImages() - 1)));
  });
}


template <typename TElastix>
void
CNNMetric<TElastix>::AfterEachResolution()
{
  cnnmetric::Guard([this] {
    const unsigned int level = this->m_Registration->GetAsITKBaseType()->GetCurrentLevel();
    if (m_WantsProfile)
    {
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - m_StartOfLevel;
      log::info("CNNMetric profile, resolution " + std::to_string(level) + ": " +
                this->GetPatchMetric().GetProfile().Describe(seconds.count(), this->GetNumberOfWorkers()));
    }
  });
}


template <typename TElastix>
void
CNNMetric<TElastix>::AfterEachIteration()
{
  cnnmetric::Guard([this] {
    const auto &         elastix = itk::Deref(this->GetElastix());
    cnnmetric::Iteration iteration;
    iteration.level = this->m_Registration->GetAsITKBaseType()->GetCurrentLevel();
    iteration.number = elastix.GetIterationCounter();
    iteration.value = m_LastValue;
    iteration.stepSize = GetStepSize(itk::Deref(itk::Deref(elastix.GetElxOptimizerBase()).GetAsITKBaseType()));
    cnnmetric::StopUnless(cnnmetric::GetHooks().afterIteration(iteration));
  });
}


template <typename TElastix>
void
CNNMetric<TElastix>::Initialize()
{
  cnnmetric::Guard([this] {
    itk::TimeProbe timer;
    timer.Start();
    Superclass1::Initialize();
    timer.Stop();
    log::info(this->DescribeSetup());
    if (const std::string & warning = this->GetPatchMetric().GetWarning(); !warning.empty())
    {
      const unsigned int level = this->m_Registration->GetAsITKBaseType()->GetCurrentLevel();
      const std::string  text = "CNNMetric, resolution " + std::to_string(level) + ": " + warning;
      log::warn(text);
      cnnmetric::StopUnless(cnnmetric::GetHooks().warn(text));
    }
    log::info(cnnmetric::TextStream{} << "Initialization of CNNMetric took: "
                                      << static_cast<std::int64_t>(timer.GetMean() * 1000) << " ms.");
  });
}


template <typename TElastix>
auto
CNNMetric<TElastix>::GetValue(const TransformParametersType & parameters) const -> MeasureType
{
  m_LastValue = GuardEvaluation([&] { return Superclass1::GetValue(parameters); });
  return m_LastValue;
}


template <typename TElastix>
void
CNNMetric<TElastix>::GetDerivative(const TransformParametersType & parameters, DerivativeType & derivative) const
{
  MeasureType value{};
  this->GetValueAndDerivative(parameters, value, derivative);
}


template <typename TElastix>
void
CNNMetric<TElastix>::GetValueAndDerivative(const TransformParametersType & parameters,
                                           MeasureType &                   value,
                                           DerivativeType &                derivative) const
{
  GuardEvaluation([&] { Superclass1::GetValueAndDerivative(parameters, value, derivative); });
  m_LastValue = value;
}


template <typename TElastix>
void
CNNMetric<TElastix>::SelectNewSamples()
{
  this->DrawNewBlocks();
}


template <typename TElastix>
auto
CNNMetric<TElastix>::GetExactValue(const typename Superclass2::ParametersType & parameters) ->
  typename Superclass2::MeasureType
{
  return GuardEvaluation([&] { return this->GetFullValue(parameters); });
}


template <typename TElastix>
cnnmetric::Settings
CNNMetric<TElastix>::ReadSettings(const unsigned int level) const
{
  cnnmetric::Settings settings;

  const auto require = [](const bool condition, const std::string & message) {
    if (!condition)
    {
      throw cnnmetric::Error(message);
    }
  };
  const auto readCount = [&](const std::string & name, const int smallest) {
    const auto count = Read<int>(name, level);
    require(!count || *count >= smallest,
            name + " is " + std::to_string(count.value_or(0)) + " but must be at least " + std::to_string(smallest) +
              ".");
    return count ? std::optional<unsigned int>(*count) : std::nullopt;
  };

  settings.modelPath = cnnmetric::FindModel(Read<std::string>("CNNMetricModel", level).value_or("any"));
  settings.fixedModality = Read<std::string>("CNNMetricFixedModality", level).value_or("");
  settings.device = Read<std::string>("CNNMetricDevice", level).value_or(settings.device);
  settings.numberOfBlocks = readCount("CNNMetricNumberOfBlocks", 1);
  settings.blockSize = readCount("CNNMetricBlockSize", 1);
  settings.numberOfThreads = readCount("CNNMetricNumberOfThreads", 0).value_or(settings.numberOfThreads);

  if (const auto sampling = Read<std::string>("CNNMetricSampling", level))
  {
    require(*sampling == "Blocks" || *sampling == "Full",
            "CNNMetricSampling is \"" + *sampling + "\" but must be \"Blocks\" or \"Full\".");
    settings.sampling = *sampling == "Full" ? cnnmetric::Sampling::Full : cnnmetric::Sampling::Blocks;
  }
  if (const auto gridSpacing = Read<double>("CNNMetricGridSpacing", level))
  {
    require(*gridSpacing > 0.0 && std::isfinite(*gridSpacing),
            "CNNMetricGridSpacing is " + cnnmetric::ToText(*gridSpacing) +
              " but must be a positive number of mm. Leave it out for the default.");
    settings.gridSpacing = *gridSpacing;
  }

  // The finest axis decides, because a grid that is coarser than the smoothed image would lose information.
  const auto & schedule = itk::Deref(GetFixedImagePyramid()).GetAsITKBaseType()->GetSchedule();
  settings.gridFactor = *std::min_element(schedule[level], schedule[level] + Superclass1::ImageDimension);
  settings.gridFactor = std::max(settings.gridFactor, 1.0);
  return settings;
}


template <typename TElastix>
bool
CNNMetric<TElastix>::ReadProfile(const unsigned int level) const
{
  const auto profile = Read<std::string>("CNNMetricProfile", level).value_or("false");
  if (profile != "true" && profile != "false")
  {
    throw cnnmetric::Error("CNNMetricProfile is \"" + profile + "\" but must be \"true\" or \"false\".");
  }
  return profile == "true";
}


template <typename TElastix>
template <typename TValue>
std::optional<TValue>
CNNMetric<TElastix>::Read(const std::string & name, const unsigned int level) const
{
  TValue     value{};
  const bool isGiven =
    itk::Deref(Superclass2::GetConfiguration()).ReadParameter(value, name, this->GetComponentLabel(), level, 0, false);
  return isGiven ? std::optional<TValue>(value) : std::nullopt;
}


template <typename TElastix>
bool
CNNMetric<TElastix>::HasNumberOfSpatialSamples() const
{
  const auto & elastix = itk::Deref(this->GetElastix());
  if (elastix.GetNumberOfImageSamplers() == 0)
  {
    return false;
  }
  const auto        index = std::min(GetMetricIndex(), elastix.GetNumberOfImageSamplers() - 1);
  const std::string label = itk::Deref(elastix.GetElxImageSamplerBase(index)).GetComponentLabel();
  const auto &      configuration = itk::Deref(Superclass2::GetConfiguration());
  return configuration.HasParameter("NumberOfSpatialSamples") ||
         configuration.HasParameter(label + "NumberOfSpatialSamples");
}


template <typename TElastix>
auto
CNNMetric<TElastix>::GetFixedImagePyramid() const -> typename TElastix::FixedImagePyramidBaseType *
{
  const auto & elastix = itk::Deref(this->GetElastix());
  return elastix.GetElxFixedImagePyramidBase(std::min(GetMetricIndex(), elastix.GetNumberOfFixedImagePyramids() - 1));
}


template <typename TElastix>
unsigned int
CNNMetric<TElastix>::GetMetricIndex() const
{
  const auto & elastix = itk::Deref(this->GetElastix());
  for (unsigned int index = 0; index < elastix.GetNumberOfMetrics(); ++index)
  {
    if (elastix.GetElxMetricBase(index) == static_cast<const Superclass2 *>(this))
    {
      return index;
    }
  }
  return 0;
}

} // namespace elastix

#endif
