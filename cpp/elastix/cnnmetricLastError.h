// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricLastError_h
#define cnnmetricLastError_h

#include <optional>
#include <string>
#include <utility>

namespace cnnmetric
{

/** The last failure inside a metric on this thread.
 *
 * elastix catches every exception, writes it to its log and reports "Internal elastix error" to Python. The metric therefore leaves
 * the reason here, in the thread that runs the registration, and Python takes it from here (python/cnnmetric/registration_errors.py). */
inline std::optional<std::string> &
LastError()
{
  static thread_local std::optional<std::string> message;
  return message;
}

inline std::optional<std::string>
TakeLastError()
{
  return std::exchange(LastError(), std::nullopt);
}

} // namespace cnnmetric

#endif
