// SPDX-License-Identifier: Apache-2.0
#include "interpreter.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace py = pybind11;

namespace cnnmetric
{

namespace
{

struct State
{
  std::mutex              mutex{};
  std::condition_variable changed{};
  /** Threads that wait for Python's lock, or have it inside of a WithPython. */
  unsigned int inPython{};
  /** Threads inside of a WithoutPython. */
  unsigned int working{};
  /** The thread that ends the interpreter; none before that. */
  std::optional<std::thread::id> ender{};
};

/** It is never destroyed, because halted threads outlive all destructors. */
State &
GetState()
{
  static State * const state = new State;
  return *state;
}

[[noreturn]] void
Halt()
{
  if (PyGILState_Check())
  {
    PyEval_SaveThread(); // the thread that ends the interpreter waits for it
  }
  while (true)
  {
    std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

/** Change the numbers of threads. A thread that comes when the interpreter ends is halted. */
void
Enter(unsigned int State::* const entered, unsigned int State::* const left)
{
  State & state = GetState();
  bool    mustHalt = false;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    mustHalt = entered && state.ender && *state.ender != std::this_thread::get_id();
    if (left)
    {
      --(state.*left);
    }
    if (entered && !mustHalt)
    {
      ++(state.*entered);
    }
  }
  state.changed.notify_all();
  if (mustHalt)
  {
    Halt();
  }
}

/** Let no other thread into Python from now on. */
void
End()
{
  // Threads on their way into Python get its lock at once. Calculations have time for one block of patches or two; they
  // must not go on while the libraries that they use are destroyed.
  constexpr std::chrono::seconds longestOfCallback{ 10 };
  constexpr std::chrono::seconds longestOfWork{ 2 };

  PyThreadState * const        thread = PyEval_SaveThread();
  State &                      state = GetState();
  std::unique_lock<std::mutex> lock(state.mutex);
  state.ender = std::this_thread::get_id();
  // By the system's clock, as to wait by the steady one needs glibc 2.30.
  const auto now = [] { return std::chrono::system_clock::now(); };
  state.changed.wait_until(lock, now() + longestOfCallback, [&state] { return state.inPython == 0; });
  state.changed.wait_until(lock, now() + longestOfWork, [&state] { return state.working == 0; });
  lock.unlock();
  PyEval_RestoreThread(thread);
}

} // namespace


WithoutPython::WithoutPython()
{
  Enter(&State::working, nullptr);
  m_Thread = PyEval_SaveThread();
}

WithoutPython::~WithoutPython()
{
  Enter(&State::inPython, &State::working);
  PyEval_RestoreThread(m_Thread);
  Enter(nullptr, &State::inPython);
}

WithPython::Guard::Guard()
{
  Enter(&State::inPython, nullptr);
}

WithPython::Guard::~Guard()
{
  Enter(nullptr, &State::inPython);
}

WithPython::WithPython() = default;
WithPython::~WithPython() = default;


void
RegisterEnd()
{
  py::module_::import("atexit").attr("register")(py::cpp_function(&End));
}

py::str
TextToPython(const std::string & text)
{
  PyObject * const decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "replace");
  if (!decoded)
  {
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::str>(decoded);
}

} // namespace cnnmetric
