// SPDX-License-Identifier: Apache-2.0
#include "hooks.h"
#include "interpreter.h"

#include "cnnmetricHooks.h"

#include <utility>

namespace py = pybind11;

namespace cnnmetric
{

namespace
{

/** The exception that a hook has raised in this thread: an owned reference, or nullptr for none. It is not a
 * py::object, because the destructor of one would need the interpreter at the end of the thread. */
thread_local PyObject * interruption = nullptr;

/** An owned reference. It is never freed, because registrations may outlive the module. */
PyObject * iterationCallback = nullptr;

/** Run a piece of Python.
 * \return false if it has raised an exception, which is kept for take_interruption() */
template <typename TWork>
bool
RunPython(const TWork & work)
{
  // ITK may hold Python's lock during a registration, and a thread of ITK's own would then wait for the lock for ever.
  // So only a thread that Python knows takes it.
  if (!PyGILState_GetThisThreadState())
  {
    return true;
  }
  const WithPython python;
  try
  {
    work();
    return true;
  }
  catch (py::error_already_set & error)
  {
    Py_XDECREF(std::exchange(interruption, error.value().inc_ref().ptr()));
    return false;
  }
}

} // namespace


void
DefineInterruption(py::module_ & module)
{
  GetHooks().mayGoOn = [] {
    return RunPython([] {
      // Python notes a signal at once but acts on it only when it runs again, which is after the registration.
      if (PyErr_CheckSignals() != 0)
      {
        throw py::error_already_set();
      }
    });
  };
  module.def("take_interruption", [] {
    PyObject * const taken = std::exchange(interruption, nullptr);
    return taken ? py::reinterpret_steal<py::object>(taken) : py::none();
  });
}


void
WarnInPython(const std::string & text)
{
  if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1) != 0)
  {
    throw py::error_already_set();
  }
}


void
SendWarningsToPython()
{
  GetHooks().warn = [](const std::string & text) { return RunPython([&text] { WarnInPython(text); }); };
}


void
DefineIterationCallback(py::module_ & module)
{
  GetHooks().afterIteration = [](const Iteration & iteration) {
    return RunPython([&iteration] {
      if (const py::handle callback = iterationCallback)
      {
        callback(iteration.level, iteration.number, iteration.value, iteration.stepSize);
      }
    });
  };
  module.def(
    "set_iteration_callback",
    [](const py::object & callback) { Py_XDECREF(std::exchange(iterationCallback, callback.inc_ref().ptr())); },
    py::arg("callback"));
}

} // namespace cnnmetric
