// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_errorsToPython_h
#define cnnmetric_errorsToPython_h

namespace cnnmetric
{

/** Translate exceptions for Python: ours into the classes of python/cnnmetric/errors.py, ITK's into MetricError with
 * ITK's own text. */
void
RegisterErrors();

} // namespace cnnmetric

#endif
