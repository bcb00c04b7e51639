// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricHooks_h
#define cnnmetricHooks_h

#include "cnnmetricError.h"

#include <functional>
#include <string>

namespace cnnmetric
{

/** What the caller of a registration learns after an iteration. */
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
 * \brief Functions that a registration calls while it runs, so that its caller can follow and stop it.
 *
 * They are set once, at import. Each returns false if the registration has to stop, and keeps the reason itself. */
struct Hooks
{
  /** Called before every evaluation. Returns false if the user has pressed Ctrl-C. */
  std::function<bool()> mayGoOn{ [] { return true; } };
  /** Called after every iteration. */
  std::function<bool(const Iteration &)> afterIteration{ [](const Iteration &) { return true; } };
  /** Called with what the user should know about a registration that goes on. */
  std::function<bool(const std::string &)> warn{ [](const std::string &) { return true; } };
};

inline Hooks &
GetHooks()
{
  static Hooks hooks;
  return hooks;
}

/** Throw Error if a hook has returned false. */
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
