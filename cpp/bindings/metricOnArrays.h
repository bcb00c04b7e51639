// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_metricOnArrays_h
#define cnnmetric_metricOnArrays_h

#include <pybind11/pybind11.h>

namespace cnnmetric
{

/** Define _core.MetricOnArrays: the metric that elastix runs, on NumPy images and with one of elastix's transforms, outside of a
 * registration. */
void
DefineMetricOnArrays(pybind11::module_ & module);

} // namespace cnnmetric

#endif
