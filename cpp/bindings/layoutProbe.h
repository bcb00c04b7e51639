// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_layoutProbe_h
#define cnnmetric_layoutProbe_h

#include <string>

namespace cnnmetric
{

/** Compare the class layout that this extension was compiled with to that of the loaded wheel.
 *
 * Takes objects that the wheel itself creates and asks three things of them: whether the slots of the virtual function table hold the
 * functions we take them for (looked up by name, so that a wrong table is found without calling into it), whether a
 * virtual call returns the answer that is known, and whether data members hold their known default values.
 *
 * \return an empty text when all agree, else what does not */
std::string
ProbeLayout();

} // namespace cnnmetric

#endif
