// SPDX-License-Identifier: Apache-2.0
#include "errorsToPython.h"
#include "interpreter.h"

#include "cnnmetricError.h"
#include "cnnmetricLastError.h"

#include <itkMacro.h>

#include <new>

namespace py = pybind11;

namespace cnnmetric
{

void
RegisterErrors()
{
  // Local to the module, because each of the two modules registers translators.
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    const auto raise = [](const char * const className, const char * const message) {
      const py::object type = py::module_::import("cnnmetric.errors").attr(className);
      PyErr_SetObject(type.ptr(), TextToPython(message).ptr());
    };
    try
    {
      if (pointer)
      {
        std::rethrow_exception(pointer);
      }
    }
    catch (const ModelError & error)
    {
      raise("ModelError", error.what());
    }
    catch (const Error & error)
    {
      raise("MetricError", error.what());
    }
    catch (const itk::ExceptionObject & error)
    {
      raise("MetricError", error.GetDescription());
    }
    catch (const std::bad_alloc &)
    {
      raise("MetricError", OutOfMemory);
    }
  });
}

py::object
TakeLastErrorForPython()
{
  const auto message = TakeLastError();
  return message ? py::object(TextToPython(*message)) : py::none();
}

} // namespace cnnmetric
