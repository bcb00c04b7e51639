// SPDX-License-Identifier: Apache-2.0
#include "elxStepSize.h"

#include "itkGenericConjugateGradientOptimizer.h"
#include "itkGradientDescentOptimizer2.h"
#include "itkQuasiNewtonLBFGSOptimizer.h"

#include <itkRegularStepGradientDescentBaseOptimizer.h>

#include <limits>

namespace elastix
{

double
GetStepSize(const itk::Object & optimizer)
{
  // The base class of the adaptive stochastic, the standard and the preconditioned gradient descent.
  if (const auto * const gradientDescent = dynamic_cast<const itk::GradientDescentOptimizer2 *>(&optimizer))
  {
    return gradientDescent->GetLearningRate();
  }
  if (const auto * const regularStep = dynamic_cast<const itk::RegularStepGradientDescentBaseOptimizer *>(&optimizer))
  {
    return regularStep->GetCurrentStepLength();
  }
  if (const auto * const quasiNewton = dynamic_cast<const itk::QuasiNewtonLBFGSOptimizer *>(&optimizer))
  {
    return quasiNewton->GetCurrentStepLength();
  }
  if (const auto * const conjugateGradient = dynamic_cast<const itk::GenericConjugateGradientOptimizer *>(&optimizer))
  {
    return conjugateGradient->GetCurrentStepLength();
  }
  return std::numeric_limits<double>::quiet_NaN();
}

} // namespace elastix
