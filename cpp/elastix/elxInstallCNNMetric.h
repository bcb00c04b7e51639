// SPDX-License-Identifier: Apache-2.0
#ifndef elxInstallCNNMetric_h
#define elxInstallCNNMetric_h

#include <string>
#include <vector>

namespace elastix
{

/** The names of the parameters that CNNMetric reads. Any other name that begins with CNNMetric is a mistake. */
const std::vector<std::string> &
CNNMetricParameterNames();

/** Register CNNMetric in the component database of the loaded wheel. elastix itself installs only the components that
 * it was compiled with. A second call does nothing. Not thread-safe: the caller locks. */
void
InstallCNNMetric();

} // namespace elastix

#endif
