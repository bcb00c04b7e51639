// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricEvaluatorPatches_hxx
#define cnnmetricEvaluatorPatches_hxx

#include "cnnmetricEvaluator.h"

#include <algorithm>

/** \file
 * \brief Evaluator's choice of patches: those inside the fixed mask, and the blocks of them. */

namespace cnnmetric
{

template <unsigned int VDimension>
void
Evaluator<VDimension>::SelectFixedPatches(const std::function<bool(const PointType &)> & isInside)
{
  m_IsFixedPatch.assign(NumberOfElements(m_Grid.GetNumberOfPatches()), 1);
  if (!isInside)
  {
    return;
  }
  const auto select = [&] {
    m_IsFixedPatch.resize(NumberOfElements(m_Grid.GetNumberOfPatches()));
    bool found = false;
    ForEachIndex(m_Grid.GetNumberOfPatches(), [&](const IndexType & patch, const std::size_t offset) {
      m_IsFixedPatch[offset] = isInside(m_Grid.GetPoint(m_Grid.GetCentre(patch)));
      found = found || m_IsFixedPatch[offset];
    });
    return found;
  };
  if (select())
  {
    return;
  }
  // The centres lie a stride apart, and a thin mask may lie between them.
  if (const auto moved = m_Grid.MovedOnto(isInside))
  {
    m_Grid = *moved;
    if (select())
    {
      return;
    }
  }
  throw Error("The fixed mask leaves no patch: none of the " + std::to_string(m_IsFixedPatch.size()) +
              " patch centres of this resolution is inside of it, and no other place for one is. A centre has half a "
              "patch of the fixed image on all sides. Check that the mask lies on the fixed image and not at its "
              "border, or make it larger.");
}


template <unsigned int VDimension>
std::int64_t
Evaluator<VDimension>::PatchesPerEdge(const unsigned int blockEdge) const
{
  const unsigned int p = m_Grid.GetReceptiveField();
  const unsigned int s = m_Grid.GetStride();
  return (blockEdge - p) / s + 1;
}


template <unsigned int VDimension>
unsigned int
Evaluator<VDimension>::NearestBlockSize(const unsigned int blockEdge) const
{
  const unsigned int p = m_Grid.GetReceptiveField();
  const unsigned int s = m_Grid.GetStride();
  return blockEdge < p ? p : p + (blockEdge - p + s / 2) / s * s;
}


template <unsigned int VDimension>
auto
Evaluator<VDimension>::TileAll(const unsigned int blockEdge) const -> BlocksType
{
  return TileCompletely(m_Grid.GetNumberOfPatches(), PatchesPerEdge(blockEdge));
}


template <unsigned int VDimension>
auto
Evaluator<VDimension>::DrawBlocks(const unsigned int numberOfBlocks,
                                  const unsigned int blockEdge,
                                  GeneratorType &    generator) const -> BlocksType
{
  const RandomBlocks<VDimension> randomBlocks(m_Grid.GetNumberOfPatches(), PatchesPerEdge(blockEdge));
  return randomBlocks.Draw(numberOfBlocks, generator, [this](const BlockType & block) { return HasFixedPatch(block); });
}


template <unsigned int VDimension>
std::size_t
Evaluator<VDimension>::GetNumberOfPatchesPerBlock(const unsigned int blockEdge) const
{
  std::size_t product = 1;
  for (const std::int64_t patches : m_Grid.GetNumberOfPatches())
  {
    product *= static_cast<std::size_t>(std::min(patches, PatchesPerEdge(blockEdge)));
  }
  return product;
}


template <unsigned int VDimension>
bool
Evaluator<VDimension>::HasFixedPatch(const BlockType & block) const
{
  bool found = false;
  ForEachIndex(block.numberOfPatches, [&](IndexType patch, std::size_t) {
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      patch[d] += block.firstPatch[d];
    }
    found = found || (m_Grid.ContainsPatch(patch) && m_IsFixedPatch[Offset(patch, m_Grid.GetNumberOfPatches())]);
  });
  return found;
}

} // namespace cnnmetric

#endif
