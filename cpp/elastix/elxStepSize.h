// SPDX-License-Identifier: Apache-2.0
#ifndef elxStepSize_h
#define elxStepSize_h

namespace itk
{
class Object;
}

namespace elastix
{

/** The step size of an optimizer's current iteration, as it stands in the log; NaN for an optimizer without one.
 * elastix's optimizers have no common function for it. */
double
GetStepSize(const itk::Object & optimizer);

} // namespace elastix

#endif
