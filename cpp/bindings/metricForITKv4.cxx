// SPDX-License-Identifier: Apache-2.0
#include "interpreter.h"
#include "mapsToPython.h"
#include "metricForITKv4.h"
#include "swigPointer.h"

#include "itkCNNImageToImageMetricv4.h"

#include <pybind11/numpy.h>

namespace py = pybind11;

namespace cnnmetric
{

namespace
{

template <unsigned int VDimension>
class MetricForITKv4
{
public:
  using ImageType = itk::Image<float, VDimension>;
  using MetricType = itk::CNNImageToImageMetricv4<ImageType, ImageType>;

  MetricForITKv4(const Settings & settings, const double requiredRatio, const unsigned int seed)
  {
    m_Metric->SetSettings(settings);
    m_Metric->SetRequiredRatioOfValidSamples(requiredRatio);
    m_Metric->SetSeed(seed);
  }

  py::object
  GetWrapper() const
  {
    return WrapForITK(static_cast<typename MetricType::Superclass &>(*m_Metric),
                      "itkImageToImageMetricv4F" + Digit() + "F" + Digit());
  }

  /** None stands for the metric's own image. */
  void
  SetOriginalImages(const py::object & fixedImage, const py::object & movingImage)
  {
    const auto unwrap = [](const py::object & image, const std::string & role) {
      return image.is_none() ? nullptr : UnwrapFromITK<ImageType>(image, "itkImageF" + Digit(), role);
    };
    m_Metric->SetOriginalImages(unwrap(fixedImage, "fixed image"), unwrap(movingImage, "moving image"));
  }

  void
  Initialize()
  {
    const WithoutPython release;
    m_Metric->Initialize();
  }

  double
  GetValue() const
  {
    const WithoutPython release;
    return m_Metric->GetValue();
  }

  py::tuple
  GetValueAndDerivative() const
  {
    double                              value = 0.0;
    typename MetricType::DerivativeType derivative;
    {
      const WithoutPython release;
      m_Metric->GetValueAndDerivative(value, derivative);
    }
    return py::make_tuple(value, py::array_t<double>(derivative.size(), derivative.data_block()));
  }

  py::tuple
  GetMaps() const
  {
    Maps maps;
    {
      const WithoutPython release;
      maps = m_Metric->GetMaps();
    }
    const auto & metric = m_Metric->GetPatchMetric();
    return MapsToPython<VDimension>(maps, metric.GetEvaluator().GetGrid(), metric.GetGridSpacing());
  }

  void
  DrawNewBlocks()
  {
    const WithoutPython release;
    m_Metric->DrawNewBlocks();
  }

  py::str
  Describe() const
  {
    return TextToPython([this] {
      const WithoutPython release;
      return m_Metric->DescribeSetup();
    }());
  }

  int
  GetReferenceCount() const
  {
    return m_Metric->GetReferenceCount();
  }

private:
  static std::string
  Digit()
  {
    return std::to_string(VDimension);
  }

  typename MetricType::Pointer m_Metric{ MetricType::New() };
};


template <unsigned int VDimension>
void
Define(py::module_ & module, const char * const name)
{
  using Class = MetricForITKv4<VDimension>;
  py::class_<Class>(module, name)
    .def(py::init<const Settings &, double, unsigned int>(),
         py::kw_only(),
         py::arg("settings"),
         py::arg("required_ratio"),
         py::arg("seed"))
    .def("wrapper", &Class::GetWrapper)
    .def("set_original_images", &Class::SetOriginalImages, py::arg("fixed"), py::arg("moving"))
    .def("initialize", &Class::Initialize)
    .def("value", &Class::GetValue)
    .def("value_and_derivative", &Class::GetValueAndDerivative)
    .def("maps", &Class::GetMaps)
    .def("draw_new_blocks", &Class::DrawNewBlocks)
    .def("describe", &Class::Describe)
    .def_property_readonly("reference_count", &Class::GetReferenceCount);
}

} // namespace


void
DefineMetricForITKv4(py::module_ & module)
{
  Define<2>(module, "MetricForITKv42D");
  Define<3>(module, "MetricForITKv43D");
}

} // namespace cnnmetric
