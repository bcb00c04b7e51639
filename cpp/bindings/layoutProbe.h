// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_layoutProbe_h
#define cnnmetric_layoutProbe_h

#include <string>

namespace cnnmetric
{

/** Compare the class layout that this extension was compiled with to that of the loaded wheel.
 *
 * The probe asks three things of objects that the wheel itself creates:
 * - Do the slots of their virtual function tables hold the expected functions? The probe compares names, so that it
 *   finds a wrong table without calling into it.
 * - Does a virtual call return the known answer?
 * - Do data members hold their known default values?
 *
 * \return an empty text if all agree, else what does not */
std::string
ProbeLayout();

} // namespace cnnmetric

#endif
