// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_errorsToPython_h
#define cnnmetric_errorsToPython_h

#include <pybind11/pybind11.h>

namespace cnnmetric
{

/** Translate exceptions for Python: ours into the classes of python/cnnmetric/errors.py, ITK's into MetricError with
 * ITK's own text. */
void
RegisterErrors();

/** The last failure inside of a metric on this thread, which is forgotten then, or None (cnnmetricLastError.h). */
pybind11::object
TakeLastErrorForPython();

} // namespace cnnmetric

#endif
