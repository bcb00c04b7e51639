// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_fieldOnArrays_h
#define cnnmetric_fieldOnArrays_h

#include <pybind11/pybind11.h>

namespace cnnmetric
{

/** Define `sample_displaced` and `smooth`, VectorField on NumPy arrays. */
void
DefineFieldOnArrays(pybind11::module_ & module);

} // namespace cnnmetric

#endif
