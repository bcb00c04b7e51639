// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_interpreter_h
#define cnnmetric_interpreter_h

#include <pybind11/pybind11.h>

#include <string>

namespace cnnmetric
{

/** \class WithoutPython
 * \brief While it lives, other threads may run Python and this one must not touch it.
 *
 * It is used instead of py::gil_scoped_release. When the interpreter ends, Python ends every other thread that asks for
 * its lock, by an exception that passes through C++ and aborts the process. This class never asks for the lock then: it
 * halts the thread, which ends with the process. */
class WithoutPython
{
public:
  WithoutPython();
  ~WithoutPython();

  WithoutPython(const WithoutPython &) = delete;
  WithoutPython &
  operator=(const WithoutPython &) = delete;

private:
  PyThreadState * m_Thread;
};

/** \class WithPython
 * \brief While it lives, this thread may run Python: the counterpart of WithoutPython, with the same care at the end. It
 * may be used by a thread that has Python's lock already. */
class WithPython
{
public:
  WithPython();
  ~WithPython();

  WithPython(const WithPython &) = delete;
  WithPython &
  operator=(const WithPython &) = delete;

private:
  /** Counts this thread, or halts it if the interpreter ends. It is constructed before the lock is asked for. */
  struct Guard
  {
    Guard();
    ~Guard();
  };

  Guard                        m_Guard{};
  pybind11::gil_scoped_acquire m_Lock{};
};

/** Halt the other threads before the interpreter ends: what WithoutPython and WithPython wait for. Called once for every
 * module. */
void
RegisterEnd();

/** A text for Python. Bytes that are not UTF-8, as a damaged file may hold, become replacement characters. */
pybind11::str
TextToPython(const std::string & text);

} // namespace cnnmetric

#endif
