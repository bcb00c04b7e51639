// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricHooks_h
#define cnnmetricHooks_h

#include "cnnmetricError.h"

#include <functional>

namespace cnnmetric
{

/** What a registration tells its caller after an iteration. */
struct Iteration
{
  unsigned int level{};
  unsigned int number{};
  /** The metric's value of this iteration, over the patches that it used. */
  double value{};
  /** The optimizer's own measure of its step (gain, learning rate or step length); NaN where it has none. */
  double stepSize{};
};

/** \class Hooks
 * \brief The ways in which the caller of a registration takes part in it, for the time that elastix does not return to him.
 *
 * Set once, at import. Each returns false when the registration has to stop; the reason is then with the one who said so. */
struct Hooks
{
  /** Asked before every evaluation: has the user pressed Ctrl-C? */
  std::function<bool()>                  mayGoOn{ [] { return true; } };
  std::function<bool(const Iteration &)> afterIteration{ [](const Iteration &) { return true; } };
};

inline Hooks &
GetHooks()
{
  static Hooks hooks;
  return hooks;
}

/** Throws Error when a hook has returned false. */
inline void
StopUnless(const bool mayGoOn)
{
  if (!mayGoOn)
  {
    throw Error("The registration was stopped by its caller.");
  }
}

} // namespace cnnmetric

#endif
