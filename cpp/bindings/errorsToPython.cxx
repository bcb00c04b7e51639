// SPDX-License-Identifier: Apache-2.0
#include "errorsToPython.h"

#include "cnnmetricError.h"

#include <itkMacro.h>

#include <pybind11/pybind11.h>

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
      py::set_error(type, message);
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
  });
}

} // namespace cnnmetric
