// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_hooks_h
#define cnnmetric_hooks_h

#include <pybind11/pybind11.h>

#include <string>

namespace cnnmetric
{

/** Let Ctrl-C stop a registration. Defines take_interruption(), which returns the Python exception that has stopped the
 * last registration of this thread, or None. */
void
DefineInterruption(pybind11::module_ & module);

/** Define set_iteration_callback(callable). The thread of the registration calls it with (level, number, value,
 * step_size). An exception that it raises stops the registration, and take_interruption() returns it. */
void
DefineIterationCallback(pybind11::module_ & module);

/** Make a Python warning (UserWarning). Throws Python's error if the user's filter makes an exception of it. Python's
 * lock has to be held. */
void
WarnInPython(const std::string & text);

/** Make Python warnings of the metric's warnings. */
void
SendWarningsToPython();

} // namespace cnnmetric

#endif
