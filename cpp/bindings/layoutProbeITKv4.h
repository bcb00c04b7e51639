// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_layoutProbeITKv4_h
#define cnnmetric_layoutProbeITKv4_h

#include <pybind11/pybind11.h>

#include <string>

namespace cnnmetric
{

/** Compare the layout of the class that ours inherits from to that of the loaded wheel.
 *
 * The probe asks an object of the wheel for known answers: from a virtual function of the base class, from one of the
 * class itself, and from data members at its far end. It cannot compare the names of functions, as the probe for
 * elastix does, because ITK's wheel does not export them.
 *
 * \param metric a new itk.MeanSquaresImageToImageMetricv4 of 3D images of float
 * \return an empty text if both agree, else what does not */
std::string
ProbeLayoutForITKv4(const pybind11::object & metric);

} // namespace cnnmetric

#endif
