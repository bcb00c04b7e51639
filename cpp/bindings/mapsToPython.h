// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_mapsToPython_h
#define cnnmetric_mapsToPython_h

#include "cnnmetricEvaluator.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <stdexcept>

namespace cnnmetric
{

/** Values on a lattice as (array, position of the first value, distance along each axis). The axes of the array are
 * z, y, x; the position is x, y, z in mm. */
template <unsigned int VDimension>
pybind11::tuple
LatticeToPython(const std::vector<float> &                        values,
                const std::array<std::int64_t, VDimension> &      size,
                const typename PatchGrid<VDimension>::PointType & origin,
                const double                                      spacing)
{
  if (values.size() != NumberOfElements(size))
  {
    throw std::logic_error("a map has another number of values than its lattice");
  }
  pybind11::array_t<float> array(std::vector<pybind11::ssize_t>(size.rbegin(), size.rend()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return pybind11::make_tuple(array, std::vector<double>(origin.Begin(), origin.End()), spacing);
}

/** (dissimilarity, derivative), each as LatticeToPython returns it. */
template <unsigned int VDimension>
pybind11::tuple
MapsToPython(const Maps & maps, const PatchGrid<VDimension> & grid, const double gridSpacing)
{
  return pybind11::make_tuple(
    LatticeToPython<VDimension>(
      maps.dissimilarity, grid.GetNumberOfPatches(), grid.GetPoint(grid.GetCentre({})), gridSpacing * grid.GetStride()),
    LatticeToPython<VDimension>(maps.derivative, grid.GetSize(), grid.GetPoint({}), gridSpacing));
}

} // namespace cnnmetric

#endif
