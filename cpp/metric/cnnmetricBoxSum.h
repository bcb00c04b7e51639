// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricBoxSum_h
#define cnnmetricBoxSum_h

#include "cnnmetricLattice.h"

#include <utility>
#include <vector>

namespace cnnmetric
{

/** Sum of values over every patch of a block. A box is separable, so the sums run along one axis after the other.
 * \param values one per voxel, memory order
 * \param size voxels of the block per axis
 * \return one sum per patch, memory order */
template <std::size_t VDimension>
std::vector<float>
BoxSum(std::vector<float>                   values,
       std::array<std::int64_t, VDimension> size,
       const std::int64_t                   receptiveField,
       const std::int64_t                   stride)
{
  for (std::size_t d = 0; d < VDimension; ++d)
  {
    auto reduced = size;
    reduced[d] = (size[d] - receptiveField) / stride + 1;
    std::vector<float> sums(NumberOfElements(reduced));
    ForEachIndex(reduced, [&](const auto & index, const std::size_t offset) {
      auto source = index;
      for (std::int64_t k = 0; k < receptiveField; ++k)
      {
        source[d] = index[d] * stride + k;
        sums[offset] += values[Offset(source, size)];
      }
    });
    values = std::move(sums);
    size = reduced;
  }
  return values;
}

} // namespace cnnmetric

#endif
