// SPDX-License-Identifier: Apache-2.0
#include "errorsToPython.h"
#include "fieldOnArrays.h"
#include "hooks.h"
#include "interpreter.h"
#include "layoutProbe.h"
#include "metricOnArrays.h"
#include "networkOnArrays.h"
#include "settingsFromPython.h"

#include "cnnmetricModelDirectory.h"
#include "cnnmetricNetwork.h"
#include "elxInstallCNNMetric.h"
#include "elxVersionMacros.h"

#include <itkVersion.h>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

PYBIND11_MODULE(_core, module)
{
  module.doc() = "The compiled half of cnnmetric; use the package, not this module.";
  cnnmetric::RegisterErrors();
  cnnmetric::RegisterEnd();

  module.attr("__version__") = CNNMETRIC_VERSION;
  module.attr("itk_version") = std::to_string(ITK_VERSION_MAJOR) + '.' + std::to_string(ITK_VERSION_MINOR) + '.' +
                               std::to_string(ITK_VERSION_PATCH);
  module.attr("elastix_version") = ELASTIX_VERSION_STRING;

  module.def("use_onnxruntime", &cnnmetric::Network::UseRuntimeLibrary, py::arg("library"));
  module.def("onnxruntime_version", &cnnmetric::Network::GetRuntimeVersion);
  module.def("set_model_directories", &cnnmetric::SetModelDirectories, py::arg("directories"));
  module.def("find_model", &cnnmetric::FindModel, py::arg("name_or_path"));
  module.def("probe_layout", &cnnmetric::ProbeLayout);
  module.def("install", &elastix::InstallCNNMetric);
  module.def("parameter_names", &elastix::CNNMetricParameterNames);
  module.def("take_last_error", &cnnmetric::TakeLastErrorForPython);
  cnnmetric::DefineInterruption(module);
  cnnmetric::DefineIterationCallback(module);
  cnnmetric::SendWarningsToPython();
  cnnmetric::DefineSettings(module);
  cnnmetric::DefineMetricOnArrays(module);
  cnnmetric::DefineNetworkOnArrays(module);
  cnnmetric::DefineFieldOnArrays(module);
}
