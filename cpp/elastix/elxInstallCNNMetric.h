// SPDX-License-Identifier: Apache-2.0
#ifndef elxInstallCNNMetric_h
#define elxInstallCNNMetric_h

#include <string>
#include <vector>

namespace elastix
{

/** The parameter names that CNNMetric reads; any other `CNNMetric...` name is a mistake. */
const std::vector<std::string> &
CNNMetricParameterNames();

/** Register CNNMetric in the component database of the loaded wheel. elastix's own plugin loader knows a single name that is not ours,
 * so the creators go straight into the database. Does nothing the second time. Not thread-safe: the caller locks. */
void
InstallCNNMetric();

} // namespace elastix

#endif
