// SPDX-License-Identifier: Apache-2.0
#ifndef elxStepSize_h
#define elxStepSize_h

namespace itk
{
class Object;
}

namespace elastix
{

/** The step of an optimizer's current iteration, as it prints it in its log. elastix's optimizers have no common name for it.
 * NaN for those that have none. */
double
GetStepSize(const itk::Object & optimizer);

} // namespace elastix

#endif
