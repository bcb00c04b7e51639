// SPDX-License-Identifier: Apache-2.0
#ifndef elxCNNMetric_hxx
#define elxCNNMetric_hxx

#include "cnnmetricLastError.h"
#include "cnnmetricModelDirectory.h"
#include "elxCNNMetric.h"

#include <itkDeref.h>
#include <itkTimeProbe.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace elastix
{

/**
 * ******************* Guard ***********************
 */

template <typename TElastix>
template <typename TWork>
auto
CNNMetric<TElastix>::Guard(const TWork & work) const
{
  try
  {
    return work();
  }
  catch (const itk::ExceptionObject & error)
  {
    cnnmetric::LastError() = error.GetDescription();
    throw;
  }
  catch (const std::exception & error)
  {
    cnnmetric::LastError() = error.what();
    itkExceptionMacro(<< error.what());
  }

} // end Guard()


/**
 * ******************* BeforeEachResolution ***********************
 */

template <typename TElastix>
void
CNNMetric<TElastix>::BeforeEachResolution()
{
  Guard([this] {
    const unsigned int level = this->m_Registration->GetAsITKBaseType()->GetCurrentLevel();
    this->SetSettings(ReadSettings(level));

    const auto & elastix = itk::Deref(this->GetElastix());
    const auto   index = GetMetricIndex();
    this->SetOriginalImages(elastix.GetFixedImage(std::min(index, elastix.GetNumberOfFixedImages() - 1)),
                            elastix.GetMovingImage(std::min(index, elastix.GetNumberOfMovingImages() - 1)));
  });

} // end BeforeEachResolution()


/**
 * ******************* Initialize ***********************
 */

template <typename TElastix>
void
CNNMetric<TElastix>::Initialize()
{
  Guard([this] {
    itk::TimeProbe timer;
    timer.Start();
    Superclass1::Initialize();
    timer.Stop();
    log::info(this->DescribeSetup());
    log::info(std::ostringstream{} << "Initialization of CNNMetric took: " << static_cast<std::int64_t>(timer.GetMean() * 1000)
                                   << " ms.");
  });

} // end Initialize()


/**
 * ******************* GetValue ***********************
 */

template <typename TElastix>
auto
CNNMetric<TElastix>::GetValue(const TransformParametersType & parameters) const -> MeasureType
{
  return Guard([&] { return Superclass1::GetValue(parameters); });

} // end GetValue()


/**
 * ******************* GetDerivative ***********************
 */

template <typename TElastix>
void
CNNMetric<TElastix>::GetDerivative(const TransformParametersType & parameters, DerivativeType & derivative) const
{
  MeasureType value{};
  this->GetValueAndDerivative(parameters, value, derivative);

} // end GetDerivative()


/**
 * ******************* GetValueAndDerivative ***********************
 */

template <typename TElastix>
void
CNNMetric<TElastix>::GetValueAndDerivative(const TransformParametersType & parameters,
                                           MeasureType &                   value,
                                           DerivativeType &                derivative) const
{
  Guard([&] { Superclass1::GetValueAndDerivative(parameters, value, derivative); });

} // end GetValueAndDerivative()


/**
 * ******************* SelectNewSamples ***********************
 */

template <typename TElastix>
void
CNNMetric<TElastix>::SelectNewSamples()
{
  this->DrawNewBlocks();

} // end SelectNewSamples()


/**
 * ******************* GetExactValue ***********************
 */

template <typename TElastix>
auto
CNNMetric<TElastix>::GetExactValue(const typename Superclass2::ParametersType & parameters) -> typename Superclass2::MeasureType
{
  return Guard([&] { return this->GetFullValue(parameters); });

} // end GetExactValue()


/**
 * ******************* ReadSettings ***********************
 */

template <typename TElastix>
auto
CNNMetric<TElastix>::ReadSettings(const unsigned int level) const -> typename Superclass1::Settings
{
  typename Superclass1::Settings settings;

  const auto require = [](const bool condition, const std::string & message) {
    if (!condition)
    {
      throw cnnmetric::Error(message);
    }
  };
  const auto readCount = [&](const std::string & name, const unsigned int defaultValue, const int smallest) {
    const int count = Read<int>(name, level, static_cast<int>(defaultValue));
    require(count >= smallest, name + " is " + std::to_string(count) + " but must be at least " + std::to_string(smallest) + ".");
    return static_cast<unsigned int>(count);
  };

  settings.modelPath = cnnmetric::FindModel(Read<std::string>("CNNMetricModel", level, "t1t2"));
  settings.fixedModality = Read<std::string>("CNNMetricFixedModality", level, "");
  settings.device = Read<std::string>("CNNMetricDevice", level, settings.device);
  settings.numberOfBlocks = readCount("CNNMetricNumberOfBlocks", settings.numberOfBlocks, 1);
  settings.blockSize = readCount("CNNMetricBlockSize", settings.blockSize, 1);
  settings.numberOfThreads = readCount("CNNMetricNumberOfThreads", settings.numberOfThreads, 0);

  const auto sampling = Read<std::string>("CNNMetricSampling", level, "Blocks");
  require(sampling == "Blocks" || sampling == "Full",
          "CNNMetricSampling is \"" + sampling + "\" but must be \"Blocks\" or \"Full\".");
  settings.sampling = sampling == "Full" ? Superclass1::SamplingEnum::Full : Superclass1::SamplingEnum::Blocks;

  const auto gridSpacing = Read<double>("CNNMetricGridSpacing", level, std::numeric_limits<double>::quiet_NaN());
  if (!std::isnan(gridSpacing))
  {
    require(gridSpacing > 0.0 && std::isfinite(gridSpacing),
            "CNNMetricGridSpacing is " + std::to_string(gridSpacing) +
              " but must be a positive number of mm. Leave it out for the default.");
    settings.gridSpacing = gridSpacing;
  }

  // The finest axis decides: a grid coarser than the smoothed image would throw information away.
  const auto & schedule = itk::Deref(this->GetElastix()->GetElxFixedImagePyramidBase()).GetAsITKBaseType()->GetSchedule();
  settings.gridFactor = *std::min_element(schedule[level], schedule[level] + Superclass1::ImageDimension);
  settings.gridFactor = std::max(settings.gridFactor, 1.0);
  return settings;

} // end ReadSettings()


/**
 * ******************* Read ***********************
 */

template <typename TElastix>
template <typename TValue>
TValue
CNNMetric<TElastix>::Read(const std::string & name, const unsigned int level, const TValue & defaultValue) const
{
  TValue value = defaultValue;
  itk::Deref(Superclass2::GetConfiguration()).ReadParameter(value, name, this->GetComponentLabel(), level, 0, false);
  return value;

} // end Read()


/**
 * ******************* GetMetricIndex ***********************
 */

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

} // end GetMetricIndex()

} // end namespace elastix

#endif
