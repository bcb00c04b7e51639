// SPDX-License-Identifier: Apache-2.0
#include "hooks.h"
#include "interpreter.h"
#include "mapsToPython.h"
#include "metricOnArrays.h"

#include "cnnmetricError.h"
#include "itkCNNImageToImageMetric.h"

#include "itkAdvancedBSplineDeformableTransform.h"
#include "itkAdvancedLinearInterpolateImageFunction.h"
#include "itkAdvancedMatrixOffsetTransformBase.h"
#include "itkAdvancedSimilarity2DTransform.h"
#include "itkAdvancedSimilarity3DTransform.h"
#include "itkAdvancedTranslationTransform.h"
#include "itkEulerTransform.h"
#include "itkRecursiveBSplineTransform.h"

#include <itkBSplineInterpolateImageFunction.h>
#include <itkImageMaskSpatialObject.h>
#include <itkMersenneTwisterRandomVariateGenerator.h>

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <type_traits>

namespace py = pybind11;

namespace cnnmetric
{

namespace
{

template <typename TPixel>
using ContiguousArray = py::array_t<TPixel, py::array::c_style | py::array::forcecast>;

/** Spacing, origin and direction (row by row) of an image, in ITK's axis order. */
struct Geometry
{
  std::vector<double> spacing{};
  std::vector<double> origin{};
  std::vector<double> direction{};
};

template <typename TPixel, unsigned int VDimension>
typename itk::Image<TPixel, VDimension>::Pointer
MakeImage(const ContiguousArray<TPixel> & array, const Geometry & geometry)
{
  if (array.ndim() != VDimension || geometry.spacing.size() != VDimension || geometry.origin.size() != VDimension ||
      geometry.direction.size() != VDimension * VDimension)
  {
    throw Error("An image of dimension " + std::to_string(VDimension) + " is needed; the array has " +
                std::to_string(array.ndim()) + " axes.");
  }
  using ImageType = itk::Image<TPixel, VDimension>;
  typename ImageType::SizeType      size;
  typename ImageType::SpacingType   spacing;
  typename ImageType::PointType     origin;
  typename ImageType::DirectionType direction;
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    size[d] = static_cast<itk::SizeValueType>(array.shape(VDimension - 1 - d)); // NumPy's last axis is ITK's first
    spacing[d] = geometry.spacing[d];
    origin[d] = geometry.origin[d];
    for (unsigned int column = 0; column < VDimension; ++column)
    {
      direction(d, column) = geometry.direction[d * VDimension + column];
    }
  }
  const auto image = ImageType::New();
  image->SetRegions(size);
  image->SetSpacing(spacing);
  image->SetOrigin(origin);
  image->SetDirection(direction);
  image->Allocate();
  std::memcpy(image->GetBufferPointer(), array.data(), static_cast<std::size_t>(array.size()) * sizeof(TPixel));
  return image;
}

template <unsigned int VDimension>
typename itk::AdvancedTransform<double, VDimension, VDimension>::Pointer
MakeTransform(const std::string & name)
{
  using Similarity = std::conditional_t<VDimension == 3,
                                        itk::AdvancedSimilarity3DTransform<double>,
                                        itk::AdvancedSimilarity2DTransform<double>>;
  if (name == "translation")
  {
    return itk::AdvancedTranslationTransform<double, VDimension>::New().GetPointer();
  }
  if (name == "euler")
  {
    return itk::EulerTransform<double, VDimension>::New().GetPointer();
  }
  if (name == "similarity")
  {
    return Similarity::New().GetPointer();
  }
  if (name == "affine")
  {
    return itk::AdvancedMatrixOffsetTransformBase<double, VDimension, VDimension>::New().GetPointer();
  }
  if (name == "bspline")
  {
    return itk::AdvancedBSplineDeformableTransform<double, VDimension, 3>::New().GetPointer();
  }
  if (name == "recursive_bspline")
  {
    return itk::RecursiveBSplineTransform<double, VDimension, 3>::New().GetPointer();
  }
  throw Error("Transform '" + name +
              "' is not known; use 'translation', 'euler', 'similarity', 'affine', 'bspline' or 'recursive_bspline'.");
}


template <unsigned int VDimension>
class MetricOnArrays
{
public:
  using ImageType = itk::Image<float, VDimension>;
  using MaskImageType = itk::Image<unsigned char, VDimension>;
  using MaskType = itk::ImageMaskSpatialObject<VDimension>;
  using MetricType = itk::CNNImageToImageMetric<ImageType, ImageType>;
  using LinearInterpolatorType = itk::AdvancedLinearInterpolateImageFunction<ImageType, double>;
  using BSplineInterpolatorType = itk::BSplineInterpolateImageFunction<ImageType, double, double>;
  using ParametersType = typename MetricType::TransformParametersType;
  using GeneratorType = itk::Statistics::MersenneTwisterRandomVariateGenerator;

  MetricOnArrays(const ContiguousArray<float> &                        fixed,
                 const Geometry &                                      fixedGeometry,
                 const ContiguousArray<float> &                        moving,
                 const Geometry &                                      movingGeometry,
                 const std::optional<ContiguousArray<unsigned char>> & fixedMask,
                 const std::optional<ContiguousArray<unsigned char>> & movingMask,
                 const std::string &                                   transform,
                 const std::vector<double> &                           transformFixedParameters,
                 const unsigned int                                    interpolationOrder,
                 const Settings &                                      settings,
                 const double                                          requiredRatio,
                 const unsigned int                                    seed)
  {
    m_Generator->SetSeed(seed);
    const auto fixedImage = MakeImage<float, VDimension>(fixed, fixedGeometry);
    m_Metric->SetFixedImage(fixedImage);
    m_Metric->SetFixedImageRegion(fixedImage->GetBufferedRegion());
    m_Metric->SetMovingImage(MakeImage<float, VDimension>(moving, movingGeometry));
    m_Metric->SetFixedImageMask(MakeMask(fixedMask, fixedGeometry));
    m_Metric->SetMovingImageMask(MakeMask(movingMask, movingGeometry));

    m_Transform = MakeTransform<VDimension>(transform);
    if (!transformFixedParameters.empty())
    {
      typename MetricType::AdvancedTransformType::FixedParametersType parameters(transformFixedParameters.size());
      std::copy(transformFixedParameters.begin(), transformFixedParameters.end(), parameters.begin());
      m_Transform->SetFixedParameters(parameters);
    }
    m_Metric->SetTransform(m_Transform);
    if (interpolationOrder == 1)
    {
      m_Metric->SetInterpolator(LinearInterpolatorType::New());
    }
    else
    {
      const auto interpolator = BSplineInterpolatorType::New();
      interpolator->SetSplineOrder(interpolationOrder);
      m_Metric->SetInterpolator(interpolator);
    }
    m_Metric->SetSettings(settings);
    m_Metric->SetRequiredRatioOfValidSamples(requiredRatio);
    m_Metric->SetUseMultiThread(true);
    m_Metric->SetRandomVariateGenerator(*m_Generator);
    m_Metric->Initialize();
    if (const std::string & warning = m_Metric->GetPatchMetric().GetWarning(); !warning.empty())
    {
      WarnInPython("MetricOnImages: " + warning);
    }
  }

  std::size_t
  GetNumberOfParameters() const
  {
    return m_Transform->GetNumberOfParameters();
  }

  double
  GetValue(const std::vector<double> & parameters)
  {
    const WithoutPython               release;
    const std::lock_guard<std::mutex> lock(m_Mutex);
    return m_Metric->GetValue(SetParameters(parameters));
  }

  std::pair<double, std::vector<double>>
  GetValueAndDerivative(const std::vector<double> & parameters)
  {
    const WithoutPython                 release;
    const std::lock_guard<std::mutex>   lock(m_Mutex);
    double                              value = 0.0;
    typename MetricType::DerivativeType derivative;
    m_Metric->GetValueAndDerivative(SetParameters(parameters), value, derivative);
    return { value, std::vector<double>(derivative.begin(), derivative.end()) };
  }

  py::tuple
  GetMaps(const std::vector<double> & parameters)
  {
    Maps maps;
    {
      const WithoutPython               release;
      const std::lock_guard<std::mutex> lock(m_Mutex);
      maps = m_Metric->GetMaps(SetParameters(parameters));
    }
    const auto & metric = m_Metric->GetPatchMetric();
    return MapsToPython<VDimension>(maps, metric.GetEvaluator().GetGrid(), metric.GetGridSpacing());
  }

  void
  DrawNewBlocks()
  {
    const WithoutPython               release;
    const std::lock_guard<std::mutex> lock(m_Mutex);
    m_Metric->DrawNewBlocks();
  }

  py::str
  Describe() const
  {
    return TextToPython([this] {
      const WithoutPython               release;
      const std::lock_guard<std::mutex> lock(m_Mutex);
      return m_Metric->DescribeSetup();
    }());
  }

private:
  static typename MaskType::Pointer
  MakeMask(const std::optional<ContiguousArray<unsigned char>> & array, const Geometry & geometry)
  {
    if (!array)
    {
      return nullptr;
    }
    const auto mask = MaskType::New();
    mask->SetImage(MakeImage<unsigned char, VDimension>(*array, geometry));
    mask->Update();
    return mask;
  }

  /** Check and keep the parameters. elastix's B-spline transforms hold a pointer to them, so that they have to live as
   * long as this object. */
  const ParametersType &
  SetParameters(const std::vector<double> & parameters)
  {
    if (parameters.size() != GetNumberOfParameters())
    {
      throw Error("The transform has " + std::to_string(GetNumberOfParameters()) + " parameters but " +
                  std::to_string(parameters.size()) + " were given.");
    }
    m_Parameters.SetSize(parameters.size());
    std::copy(parameters.begin(), parameters.end(), m_Parameters.begin());
    return m_Parameters;
  }

  typename GeneratorType::Pointer                     m_Generator{ GeneratorType::New() };
  typename MetricType::AdvancedTransformType::Pointer m_Transform{};
  typename MetricType::Pointer                        m_Metric{ MetricType::New() };
  ParametersType                                      m_Parameters{};
  /** Held by whatever reads or changes the metric or the transform. It is taken without Python's lock, which the thread
   * that holds it needs to return. */
  mutable std::mutex m_Mutex{};
};


template <unsigned int VDimension>
void
Define(py::module_ & module, const char * const name)
{
  using Class = MetricOnArrays<VDimension>;

  py::class_<Class>(module, name)
    .def(py::init<const ContiguousArray<float> &,
                  const Geometry &,
                  const ContiguousArray<float> &,
                  const Geometry &,
                  const std::optional<ContiguousArray<unsigned char>> &,
                  const std::optional<ContiguousArray<unsigned char>> &,
                  const std::string &,
                  const std::vector<double> &,
                  unsigned int,
                  const Settings &,
                  double,
                  unsigned int>(),
         py::kw_only(),
         py::arg("fixed"),
         py::arg("fixed_geometry"),
         py::arg("moving"),
         py::arg("moving_geometry"),
         py::arg("fixed_mask"),
         py::arg("moving_mask"),
         py::arg("transform"),
         py::arg("transform_fixed_parameters"),
         py::arg("interpolation_order"),
         py::arg("settings"),
         py::arg("required_ratio"),
         py::arg("seed"))
    .def_property_readonly("number_of_parameters", &Class::GetNumberOfParameters)
    .def("value", &Class::GetValue, py::arg("parameters"))
    .def("value_and_derivative", &Class::GetValueAndDerivative, py::arg("parameters"))
    .def("maps", &Class::GetMaps, py::arg("parameters"))
    .def("draw_new_blocks", &Class::DrawNewBlocks)
    .def("describe", &Class::Describe);
}

} // namespace


void
DefineMetricOnArrays(py::module_ & module)
{
  py::class_<Geometry>(module, "Geometry")
    .def(py::init<std::vector<double>, std::vector<double>, std::vector<double>>(),
         py::arg("spacing"),
         py::arg("origin"),
         py::arg("direction"));
  Define<2>(module, "MetricOnArrays2D");
  Define<3>(module, "MetricOnArrays3D");
}

} // namespace cnnmetric
