// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricLastError_h
#define cnnmetricLastError_h

#include "cnnmetricError.h"

#include <itkMacro.h>

#include <new>
#include <optional>
#include <string>
#include <utility>

namespace cnnmetric
{

/** The last failure inside a metric on this thread.
 *
 * elastix catches every exception, writes it to its log and reports "Internal elastix error" to Python. ITK's
 * optimizers shorten the text. So the metric leaves the reason here, in the thread that runs the registration, and
 * Python takes it (python/cnnmetric/plugin/failures.py). */
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

/** Run work(). If it fails, leave the reason for Python and throw an exception of ITK's class, as ITK and elastix
 * expect. */
template <typename TWork>
auto
Guard(const TWork & work)
{
  try
  {
    return work();
  }
  catch (const itk::ExceptionObject & error)
  {
    LastError() = error.GetDescription();
    throw;
  }
  catch (const std::bad_alloc &)
  {
    LastError() = OutOfMemory;
    throw itk::ExceptionObject(__FILE__, __LINE__, OutOfMemory, "CNNMetric");
  }
  catch (const std::exception & error)
  {
    LastError() = error.what();
    throw itk::ExceptionObject(__FILE__, __LINE__, error.what(), "CNNMetric");
  }
}

} // namespace cnnmetric

#endif
