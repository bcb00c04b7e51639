// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_metricForITKv4_h
#define cnnmetric_metricForITKv4_h

#include <pybind11/pybind11.h>

namespace cnnmetric
{

/** Define _itkv4.MetricForITKv42D and MetricForITKv43D: the metric for ITKv4's registration framework, on ITK's Python
 * objects. */
void
DefineMetricForITKv4(pybind11::module_ & module);

} // namespace cnnmetric

#endif
