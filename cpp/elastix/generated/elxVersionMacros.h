// SPDX-License-Identifier: Apache-2.0
// elastix's own build generates a header of this name, and the wheel does not ship it. This one names the release of
// elastix that the plugin is compiled against.
#ifndef elxVersionMacros_h
#define elxVersionMacros_h

#define ELASTIX_VERSION_MAJOR 5
#define ELASTIX_VERSION_MINOR 3
#define ELASTIX_VERSION_PATCH 1
#define ELASTIX_VERSION_STRING "5.3.1"

#endif
