// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricPatchGrid_hxx
#define cnnmetricPatchGrid_hxx

#include "cnnmetricLattice.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace cnnmetric
{

template <unsigned int VDimension>
std::optional<PatchGrid<VDimension>>
PatchGrid<VDimension>::MovedOnto(const std::function<bool(const PointType &)> & isInside) const
{
  using PositionType = std::array<double, VDimension>;
  constexpr double tolerance = 1e-6;
  const double     before = m_ReceptiveField / 2;
  const double     after = m_ReceptiveField - 1.0 - before;

  // Positions are in voxels of the grid, from the first voxel of the image. A centre has half a patch around it.
  const auto pointAt = [this](const PositionType & position) {
    PointType point = m_Origin;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      point += m_Step[d] * (position[d] - m_Margin[d]);
    }
    return point;
  };
  const auto startOf = [&](const double centre) {
    const double start = centre - before;
    return std::max(0.0, start - m_Stride * std::floor((start + tolerance) / m_Stride));
  };

  // Moves that differ by less than a voxel of the grid are counted together. A mask of one layer votes for one move.
  IndexType moves;
  moves.fill(m_Stride);
  std::vector<std::size_t>  votes(NumberOfElements(moves), 0);
  std::vector<PositionType> firsts(votes.size());
  // The voxels of the image come first. A mask of smaller voxels may lie between them.
  for (const int refinement : { 1, 2, 4 })
  {
    PositionType step;
    PositionType first;
    IndexType    count;
    double       product = 1.0;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      step[d] = std::min(m_ImageSpacing[d], 1.0) / refinement;
      first[d] = step[d] * std::ceil((before - tolerance) / step[d]);
      count[d] = static_cast<std::int64_t>(std::floor((m_Extent[d] - after + tolerance - first[d]) / step[d])) + 1;
      count[d] = std::max<std::int64_t>(count[d], 0);
      product *= static_cast<double>(count[d]);
    }
    if (refinement > 1 && product > LargestSearch)
    {
      break;
    }
    ForEachIndex(count, [&](const IndexType & index, std::size_t) {
      PositionType centre;
      IndexType    move;
      for (unsigned int d = 0; d < VDimension; ++d)
      {
        centre[d] = first[d] + step[d] * static_cast<double>(index[d]);
        move[d] = std::min<std::int64_t>(static_cast<std::int64_t>(startOf(centre[d])), m_Stride - 1);
      }
      if (isInside(pointAt(centre)) && votes[Offset(move, moves)]++ == 0)
      {
        firsts[Offset(move, moves)] = centre;
      }
    });
    const auto most = std::max_element(votes.begin(), votes.end());
    if (*most > 0)
    {
      PatchGrid            moved = *this;
      const PositionType & centre = firsts[static_cast<std::size_t>(most - votes.begin())];
      PositionType         start;
      for (unsigned int d = 0; d < VDimension; ++d)
      {
        start[d] = startOf(centre[d]);
        const double room = m_Extent[d] - start[d] - (m_ReceptiveField - 1.0);
        moved.m_NumberOfPatches[d] = static_cast<std::int64_t>(std::floor((room + tolerance) / m_Stride)) + 1;
        moved.m_Size[d] = m_ReceptiveField + m_Stride * (moved.m_NumberOfPatches[d] - 1);
        moved.m_Margin[d] = start[d];
      }
      moved.m_Origin = pointAt(start);
      return moved;
    }
  }
  return std::nullopt;
}

} // namespace cnnmetric

#endif
