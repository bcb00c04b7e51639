// SPDX-License-Identifier: Apache-2.0
#include "layoutProbe.h"
#include "metricOnArrays.h"

#include "cnnmetricError.h"
#include "cnnmetricLastError.h"
#include "cnnmetricModelDirectory.h"
#include "cnnmetricNetwork.h"
#include "elxInstallCNNMetric.h"
#include "elxVersionMacros.h"

#include <itkVersion.h>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

namespace
{

/** Our errors become the Python classes of python/cnnmetric/errors.py; ITK's become MetricError with ITK's own words. */
void
RegisterErrors()
{
  py::register_exception_translator([](std::exception_ptr pointer) {
    const auto raise = [](const char * const className, const char * const message) {
      const py::object type = py::module_::import("cnnmetric.errors").attr(className);
      py::set_error(type, message);
    };
    try
    {
      if (pointer)
      {
        std::rethrow_exception(pointer);
      }
    }
    catch (const cnnmetric::ModelError & error)
    {
      raise("ModelError", error.what());
    }
    catch (const cnnmetric::Error & error)
    {
      raise("MetricError", error.what());
    }
    catch (const itk::ExceptionObject & error)
    {
      raise("MetricError", error.GetDescription());
    }
  });
}

} // namespace


PYBIND11_MODULE(_core, module)
{
  module.doc() = "The compiled half of cnnmetric; use the package, not this module.";
  RegisterErrors();

  module.attr("__version__") = CNNMETRIC_VERSION;
  module.attr("itk_version") =
    std::to_string(ITK_VERSION_MAJOR) + '.' + std::to_string(ITK_VERSION_MINOR) + '.' + std::to_string(ITK_VERSION_PATCH);
  module.attr("elastix_version") = ELASTIX_VERSION_STRING;

  module.def("use_onnxruntime", &cnnmetric::Network::UseRuntimeLibrary, py::arg("library"));
  module.def("onnxruntime_version", &cnnmetric::Network::GetRuntimeVersion);
  module.def("set_model_directory", &cnnmetric::SetModelDirectory, py::arg("directory"));
  module.def("find_model", &cnnmetric::FindModel, py::arg("name_or_path"));
  module.def("probe_layout", &cnnmetric::ProbeLayout);
  module.def("install", &elastix::InstallCNNMetric);
  module.def("parameter_names", &elastix::CNNMetricParameterNames);
  module.def("take_last_error", &cnnmetric::TakeLastError);
  cnnmetric::DefineMetricOnArrays(module);
}
