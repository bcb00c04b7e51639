// SPDX-License-Identifier: Apache-2.0
#include "errorsToPython.h"
#include "hooks.h"
#include "interpreter.h"
#include "layoutProbeITKv4.h"
#include "metricForITKv4.h"
#include "settingsFromPython.h"

#include "cnnmetricNetwork.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

PYBIND11_MODULE(_itkv4, module)
{
  module.doc() = "CNNMetric for ITKv4's registration framework; use the package, not this module.";
  cnnmetric::RegisterErrors();
  cnnmetric::RegisterEnd();
  cnnmetric::DefineInterruption(module);
  cnnmetric::SendWarningsToPython();
  cnnmetric::DefineSettings(module);
  // This library has its own copy of the code that loads ONNX Runtime, so it has to be told as well.
  module.def("use_onnxruntime", &cnnmetric::Network::UseRuntimeLibrary, py::arg("library"));
  module.def("probe_layout", &cnnmetric::ProbeLayoutForITKv4, py::arg("metric"));
  module.def("take_last_error", &cnnmetric::TakeLastErrorForPython);
  cnnmetric::DefineMetricForITKv4(module);
}
