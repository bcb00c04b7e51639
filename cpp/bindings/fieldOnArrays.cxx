// SPDX-License-Identifier: Apache-2.0
#include "fieldOnArrays.h"

#include "interpreter.h"

#include "cnnmetricError.h"
#include "cnnmetricText.h"
#include "cnnmetricVectorField.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

namespace py = pybind11;

namespace cnnmetric
{

namespace
{

/** Nothing is converted, which would be a copy. */
using Array = py::array_t<float, py::array::c_style>;

/** The filter is as long in memory, in voxels. */
constexpr double LargestDeviation = 1000.0;

/** Axes (z, y, x, components), in two dimensions without z. */
struct Layout
{
  VectorField::Shape shape{};
  unsigned int       dimension{};
  unsigned int       components{};
};

Layout
LayoutOf(const Array & array)
{
  const auto axes = array.ndim();
  if ((axes != 3 && axes != 4) || array.shape(axes - 1) < 1 || array.shape(axes - 1) > 3 || array.size() == 0)
  {
    throw Error("An array of a field has to have the shape (z, y, x, 1 to 3), or (y, x, 1 to 3).");
  }
  Layout layout;
  layout.dimension = static_cast<unsigned int>(axes - 1);
  layout.components = static_cast<unsigned int>(array.shape(axes - 1));
  layout.shape = { 1, 1, 1 };
  std::copy_n(array.shape(), layout.dimension, layout.shape.end() - layout.dimension);
  return layout;
}

unsigned int
NumberOfThreads(const unsigned int wanted)
{
  return wanted > 0 ? wanted : std::max(1u, std::thread::hardware_concurrency());
}

Array
SampleDisplaced(const Array &                values,
                const Array &                field,
                const std::optional<Array> & factor,
                const bool                   nearest,
                const unsigned int           numberOfThreads)
{
  const Layout layout = LayoutOf(values);
  const Layout ofField = LayoutOf(field);
  if (ofField.shape != layout.shape || ofField.dimension != layout.dimension ||
      ofField.components != layout.dimension ||
      (factor && factor->size() != values.size() / static_cast<py::ssize_t>(layout.components)))
  {
    throw Error("The arrays of a field are of different shapes.");
  }
  Array               result(std::vector<py::ssize_t>(values.shape(), values.shape() + values.ndim()));
  float * const       output = result.mutable_data();
  const float * const factors = factor ? factor->data() : nullptr;
  {
    const WithoutPython release;
    VectorField::Sample(layout.shape,
                        layout.components,
                        layout.dimension,
                        values.data(),
                        field.data(),
                        factors,
                        nearest ? VectorField::Outside::Nearest : VectorField::Outside::Zero,
                        NumberOfThreads(numberOfThreads),
                        output);
  }
  return result;
}

void
Smooth(Array & values, const double deviation, const unsigned int numberOfThreads)
{
  const Layout layout = LayoutOf(values);
  if (!(deviation > 0.0 && deviation <= LargestDeviation))
  {
    TextStream message;
    message << "The standard deviation of a field's filter is " << deviation
            << " voxels and has to be above 0 and at most " << LargestDeviation << '.';
    throw Error(message.str());
  }
  float * const       data = values.mutable_data(); // throws if the array is read-only
  const WithoutPython release;
  VectorField::Smooth(layout.shape, layout.components, deviation, NumberOfThreads(numberOfThreads), data);
}

} // namespace


void
DefineFieldOnArrays(py::module_ & module)
{
  module.def("sample_displaced",
             &SampleDisplaced,
             py::arg("values").noconvert(),
             py::arg("field").noconvert(),
             py::kw_only(),
             py::arg("factor").noconvert() = py::none(),
             py::arg("nearest") = false,
             py::arg("number_of_threads"));
  module.def("smooth",
             &Smooth,
             py::arg("values").noconvert(),
             py::arg("deviation"),
             py::kw_only(),
             py::arg("number_of_threads"));
}

} // namespace cnnmetric
