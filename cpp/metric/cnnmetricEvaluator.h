// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricEvaluator_h
#define cnnmetricEvaluator_h

#include "cnnmetricBlocks.h"
#include "cnnmetricIntensityNormalisation.h"
#include "cnnmetricNetwork.h"
#include "cnnmetricPatchGrid.h"
#include "cnnmetricWarp.h"

#include <itkImage.h>
#include <itkSpatialObject.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace cnnmetric
{

/** What one evaluation of the metric yields. */
struct Evaluation
{
  /** M: weighted mean dissimilarity of the patches. */
  double value{};
  /** Sum of the weights of the patches. */
  double weight{};
  /** Patches of the evaluated blocks whose centre is inside the fixed mask. */
  std::size_t numberOfFixedPatches{};
  /** Those of them whose centre maps into the moving image's buffer. */
  std::size_t numberOfPatchesInBuffer{};
  /** Those of them whose centre also maps into the moving mask. */
  std::size_t numberOfValidPatches{};
};


/** \class Evaluator
 * \brief The metric of Simonovsky et al. 2016, Section 2.1, on one resolution level: Eq. 2 for the value, Eq. 5 for the derivative.
 *
 * M = sum_P w_P N(I_f(P), I'_m(P)) / sum_P w_P, the weighted mean where Eq. 2 has the sum, so that its size does not depend on the
 * image's size. The weight w_P of a patch is the share of its voxels that map into the moving image's buffer, and zero unless its centre
 * is inside the fixed mask and maps into the moving mask and the buffer. Voxels that map outside of the buffer look like background (0).
 *
 * Everything about the fixed image is computed once, when the level starts. The object does not change after that: `Evaluate` may
 * run for several transforms at once.
 */
template <unsigned int VDimension>
class Evaluator
{
public:
  using GridType = PatchGrid<VDimension>;
  using BlockType = Block<VDimension>;
  using BlocksType = std::vector<BlockType>;
  using IndexType = typename GridType::IndexType;
  using WarpType = Warp<VDimension>;
  using MaskType = itk::SpatialObject<VDimension>;
  using GeneratorType = itk::Statistics::MersenneTwisterRandomVariateGenerator;

  /** \param network the trained network
   * \param fixedChannel 0 or 1: which of the model's modalities the fixed image is
   * \param grid evaluation grid of this level
   * \param fixedImage the fixed image of this level (smoothed by the pyramid), sampled linearly on the grid
   * \param fixedMask nullptr for none
   * \param fixedNormalisation, movingNormalisation from the full-resolution images */
  template <typename TFixedImage>
  Evaluator(std::shared_ptr<const Network> network,
            unsigned int                   fixedChannel,
            const GridType &               grid,
            const TFixedImage &            fixedImage,
            const MaskType *               fixedMask,
            const IntensityNormalisation & fixedNormalisation,
            const IntensityNormalisation & movingNormalisation);

  const GridType &
  GetGrid() const
  {
    return m_Grid;
  }

  /** All patches ("Full"), in tiles whose edge is at most blockEdge voxels. */
  BlocksType
  TileAll(unsigned int blockEdge) const;

  /** Random blocks ("Blocks"), see RandomBlocks. */
  BlocksType
  DrawBlocks(unsigned int numberOfBlocks, unsigned int blockEdge, GeneratorType & generator) const;

  /** M and, unless derivative is nullptr, dM/dtheta over the given blocks.
   * \param numberOfWorkers threads; each evaluates every numberOfWorkers-th block, and their sums are added in order,
   *        so the result depends on nothing but the arguments
   * \param[out] derivative one number per transform parameter
   * \param[out] map when not nullptr: N(P) for every patch of the grid, in memory order, NaN where w_P is zero */
  Evaluation
  Evaluate(const WarpType &     warp,
           const BlocksType &   blocks,
           unsigned int         numberOfWorkers,
           double *             derivative,
           std::vector<float> * map = nullptr) const;

private:
  struct Worker;

  /** Patches along an axis of a block of so many voxels. */
  std::int64_t
  PatchesPerEdge(unsigned int blockEdge) const;

  bool
  HasFixedPatch(const BlockType & block) const;

  void
  EvaluateBlock(const WarpType & warp, const BlockType & block, Worker & worker, std::vector<float> * map) const;

  void
  WarpBlock(const WarpType & warp, const IndexType & firstVoxel, const IndexType & size, Worker & worker) const;

  double
  WeighPatches(const WarpType & warp, const BlockType & block, const IndexType & size, Worker & worker) const;

  std::shared_ptr<const Network> m_Network;
  unsigned int                   m_FixedChannel{};
  GridType                       m_Grid{};
  IntensityNormalisation         m_MovingNormalisation{};
  /** Normalised fixed intensities on the grid. */
  std::vector<float> m_FixedIntensities{};
  /** Per patch: whether its centre is inside the fixed mask. */
  std::vector<std::uint8_t> m_IsFixedPatch{};
};

} // namespace cnnmetric

#include "cnnmetricEvaluator.hxx"

#endif
