// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricBlocks_h
#define cnnmetricBlocks_h

#include "cnnmetricLattice.h"

#include <itkMersenneTwisterRandomVariateGenerator.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace cnnmetric
{

/** \class Block
 * \brief A box of neighbouring patches. The network evaluates them in one run, and computes once what they share.
 */
template <unsigned int VDimension>
struct Block
{
  using IndexType = std::array<std::int64_t, VDimension>;
  /** May be negative, because a block may stick out of the grid. Patches outside of the grid weigh nothing. */
  IndexType firstPatch{};
  IndexType numberOfPatches{};
  /** Whether later evaluations have the same block, so that it is worth while to keep what is known of it. */
  bool recurs{};
};

/** Tile a grid of patches completely and without overlap ("Full"). The voxels of neighbouring tiles overlap by p - s,
 * so that the tiles together give the result of one run over the whole grid.
 * \param gridSize patches of the grid per axis
 * \param edge largest number of patches per axis of one tile */
template <std::size_t VDimension>
std::vector<Block<VDimension>>
TileCompletely(const std::array<std::int64_t, VDimension> & gridSize, const std::int64_t edge)
{
  std::array<std::int64_t, VDimension> tiles;
  for (std::size_t d = 0; d < VDimension; ++d)
  {
    tiles[d] = (gridSize[d] + edge - 1) / edge;
  }
  std::vector<Block<VDimension>> blocks;
  ForEachIndex(tiles, [&](const auto & tile, std::size_t) {
    Block<VDimension> block;
    block.recurs = true;
    for (std::size_t d = 0; d < VDimension; ++d)
    {
      // Tiles are of nearly equal size, because a thin last tile would cost almost as much as a full one.
      const std::int64_t begin = gridSize[d] * tile[d] / tiles[d];
      block.firstPatch[d] = begin;
      block.numberOfPatches[d] = gridSize[d] * (tile[d] + 1) / tiles[d] - begin;
    }
    blocks.push_back(block);
  });
  return blocks;
}

/** \class RandomBlocks
 * \brief Draws blocks such that every patch of the grid is equally likely to be covered ("Blocks").
 *
 * Along an axis that the block does not span, its position is uniform on all positions that touch the grid, those that
 * stick out included. So patches at the border are as likely as patches in the middle, and the estimate is unbiased.
 * Blocks without a patch that counts are drawn again. They contribute nothing, so leaving them out changes no ratio.
 */
template <unsigned int VDimension>
class RandomBlocks
{
public:
  using IndexType = std::array<std::int64_t, VDimension>;
  using GeneratorType = itk::Statistics::MersenneTwisterRandomVariateGenerator;

  RandomBlocks(const IndexType & gridSize, const std::int64_t edge)
    : m_GridSize(gridSize)
  {
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      m_BlockSize[d] = std::min(edge, gridSize[d]);
    }
  }

  /** Draw blocks.
   * \param counts called with a block: whether it holds at least one patch that counts. Such a block must exist. */
  template <typename TPredicate>
  std::vector<Block<VDimension>>
  Draw(const unsigned int numberOfBlocks, GeneratorType & generator, const TPredicate & counts) const
  {
    std::vector<Block<VDimension>> blocks;
    while (blocks.size() < numberOfBlocks)
    {
      const Block<VDimension> block = DrawOne(generator);
      if (counts(block))
      {
        blocks.push_back(block);
      }
    }
    return blocks;
  }

private:
  Block<VDimension>
  DrawOne(GeneratorType & generator) const
  {
    Block<VDimension> block;
    block.numberOfPatches = m_BlockSize;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      if (m_BlockSize[d] < m_GridSize[d])
      {
        const std::int64_t last = m_GridSize[d] - 1;
        const std::int64_t first = 1 - m_BlockSize[d];
        block.firstPatch[d] =
          first + static_cast<std::int64_t>(generator.GetIntegerVariate(static_cast<unsigned int>(last - first)));
      }
    }
    return block;
  }

  IndexType m_GridSize{};
  IndexType m_BlockSize{};
};

} // namespace cnnmetric

#endif
