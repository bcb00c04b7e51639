// SPDX-License-Identifier: Apache-2.0
// elastix's own build generates a header of this name, and the wheel does not ship it. The list of image types is empty
// here, because cpp/elastix/elxCNNMetric.cxx asks the wheel at run time which ones it supports.
#ifndef elxSupportedImageTypes_h
#define elxSupportedImageTypes_h

#include "elxInstallFunctions.h"
#include "elxPrepareImageTypeSupport.h"

namespace elastix
{
inline constexpr unsigned int NrOfSupportedImageTypes = 0;
}

#endif
