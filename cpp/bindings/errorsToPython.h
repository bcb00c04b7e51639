// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_errorsToPython_h
#define cnnmetric_errorsToPython_h

namespace cnnmetric
{

/** Our errors become the Python classes of python/cnnmetric/errors.py; ITK's become MetricError with ITK's own words. */
void
RegisterErrors();

} // namespace cnnmetric

#endif
