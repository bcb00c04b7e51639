// SPDX-License-Identifier: Apache-2.0
// elastix's own build generates a header of this name, and the wheel does not ship it. We ask the wheel at run time which image types it
// supports (see cpp/bindings/installComponent.h) instead of repeating its list, so here there are none.
#ifndef elxSupportedImageTypes_h
#define elxSupportedImageTypes_h

#include "elxInstallFunctions.h"
#include "elxPrepareImageTypeSupport.h"

namespace elastix
{
inline constexpr unsigned int NrOfSupportedImageTypes = 0;
}

#endif
