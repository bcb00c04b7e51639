// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_networkOnArrays_h
#define cnnmetric_networkOnArrays_h

#include <pybind11/pybind11.h>

namespace cnnmetric
{

/** Define _core.NetworkOnArrays: the network alone, on blocks of normalised intensities in NumPy arrays. */
void
DefineNetworkOnArrays(pybind11::module_ & module);

} // namespace cnnmetric

#endif
