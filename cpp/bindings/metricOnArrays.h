// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_metricOnArrays_h
#define cnnmetric_metricOnArrays_h

#include <pybind11/pybind11.h>

namespace cnnmetric
{

/** Define _core.MetricOnArrays2D and MetricOnArrays3D: the metric that elastix runs, outside of a registration, on
 * NumPy arrays and with one of elastix's transforms. */
void
DefineMetricOnArrays(pybind11::module_ & module);

} // namespace cnnmetric

#endif
