// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricEvaluator_h
#define cnnmetricEvaluator_h

#include "cnnmetricBlocks.h"
#include "cnnmetricEvaluation.h"
#include "cnnmetricIntensityNormalisation.h"
#include "cnnmetricNetwork.h"
#include "cnnmetricPatchGrid.h"
#include "cnnmetricWarp.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace cnnmetric
{

/** \class Evaluator
 * \brief The metric of Simonovsky et al. 2016, Section 2.1, on one resolution level: Eq. 2 for the value, Eq. 5 for the
 * derivative.
 *
 * M = sum_P w_P N(I_f(P), I'_m(P)) / sum_P w_P. This is the weighted mean where Eq. 2 has the sum, so that M does not
 * grow with the size of the images.
 *
 * The weight w_P of a patch is the share of its voxels that map into the moving image's buffer. It is zero unless the
 * centre of the patch is inside the fixed mask and maps into the moving mask and the buffer. Voxels that map outside of
 * the buffer have the intensity of the background (0).
 *
 * The constructor computes what depends on the fixed image alone, but for its descriptors in the tiles of "Full", which
 * their first evaluation keeps. `Evaluate` may run for several transforms at once.
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
  using PointType = typename WarpType::PointType;
  using GeneratorType = itk::Statistics::MersenneTwisterRandomVariateGenerator;

  /** The fixed image and its mask, at a point of the grid in mm. */
  struct FixedDomain
  {
    /** I_f(x). Minus infinity, where x is outside of the fixed image, becomes background. */
    std::function<double(const PointType &)> intensity{};
    /** Whether a patch with this centre counts. Empty if all patches count. */
    std::function<bool(const PointType &)> isInside{};
  };

  /** \param network the trained network
   * \param fixedChannel 0 or 1: which of the model's modalities the fixed image is
   * \param grid evaluation grid of this level
   * \param fixedDomain the fixed image of this level and its mask; not kept
   * \param fixedNormalisation, movingNormalisation from the full-resolution images */
  Evaluator(std::shared_ptr<const Network> network,
            unsigned int                   fixedChannel,
            const GridType &               grid,
            const FixedDomain &            fixedDomain,
            const IntensityNormalisation & fixedNormalisation,
            const IntensityNormalisation & movingNormalisation);

  const GridType &
  GetGrid() const
  {
    return m_Grid;
  }

  /** All patches ("Full"), in tiles with an edge of at most blockEdge voxels. */
  BlocksType
  TileAll(unsigned int blockEdge) const;

  /** Random blocks ("Blocks"), see RandomBlocks. */
  BlocksType
  DrawBlocks(unsigned int numberOfBlocks, unsigned int blockEdge, GeneratorType & generator) const;

  /** Number of patches of the grid. */
  std::size_t
  GetNumberOfPatches() const
  {
    return m_IsFixedPatch.size();
  }

  /** The block edge in voxels, nearest to the wanted one, that fits a whole number of patches. */
  unsigned int
  NearestBlockSize(unsigned int wanted) const;

  /** Number of patches of one random block. */
  std::size_t
  GetNumberOfPatchesPerBlock(unsigned int blockEdge) const;

  /** M and dM/dtheta over the given blocks. Throws Error if a result is NaN or infinite.
   * \param numberOfWorkers number of threads. Each of them evaluates every numberOfWorkers-th block, and their sums are
   *        added in order, so that the result depends on nothing but the arguments.
   * \param[out] derivative one number per transform parameter; nullptr if it is not wanted
   * \param[out] maps the results place by place; nullptr if they are not wanted. The derivative in it is computed only
   *             if `derivative` is wanted as well. */
  Evaluation
  Evaluate(const WarpType &   warp,
           const BlocksType & blocks,
           unsigned int       numberOfWorkers,
           double *           derivative,
           Maps *             maps = nullptr) const;

private:
  struct Worker;

  /** Number of patches along an axis of a block with this edge in voxels, one of NearestBlockSize. */
  std::int64_t
  PatchesPerEdge(unsigned int blockEdge) const;

  /** Find out which patches count. If the centres of all of them miss the fixed mask, move the grid onto it. */
  void
  SelectFixedPatches(const std::function<bool(const PointType &)> & isInside);

  bool
  HasFixedPatch(const BlockType & block) const;

  typename WarpType::Voxel
  GetVoxel(const IndexType & voxel) const
  {
    return { Offset(voxel, m_Grid.GetSize()), m_Grid.GetPoint(voxel) };
  }

  void
  EvaluateBlock(const WarpType & warp, const BlockType & block, Worker & worker, Maps * maps) const;

  /** Run the network on a block that WarpBlock and WeighPatches have filled in. */
  void
  RunNetwork(const BlockType & block, const IndexType & size, Worker & worker) const;

  /** What the model describes of the fixed image in a tile; nothing if that is not known yet. */
  Network::KeptDescriptors
  FindFixedDescriptors(const BlockType & block) const
  {
    const std::lock_guard lock(m_FixedDescriptorsMutex);
    return m_FixedDescriptors[{ block.firstPatch, block.numberOfPatches }];
  }

  void
  KeepFixedDescriptors(const BlockType & block, const Network::KeptDescriptors & descriptors) const
  {
    const std::lock_guard lock(m_FixedDescriptorsMutex);
    m_FixedDescriptors[{ block.firstPatch, block.numberOfPatches }] = descriptors;
  }

  /** Eq. 5 for one block: at every voxel the gradient of the network, times that of the moving image, times the
   * Jacobian of the transform. */
  void
  AccumulateDerivative(const WarpType &  warp,
                       const IndexType & firstVoxel,
                       const IndexType & size,
                       Worker &          worker) const;

  /** Fill the network's input of one block, and the gradient of the moving image. */
  void
  WarpBlock(const WarpType & warp, const IndexType & firstVoxel, const IndexType & size, Worker & worker) const;

  /** Fill the weights of one block's patches, count them, and return the sum of the weights. */
  double
  WeighPatches(const WarpType & warp, const BlockType & block, const IndexType & size, Worker & worker) const;

  std::shared_ptr<const Network> m_Network;
  unsigned int                   m_FixedChannel{};
  GridType                       m_Grid{};
  IntensityNormalisation         m_MovingNormalisation{};
  /** Normalised fixed intensities on the grid. */
  std::vector<float> m_FixedIntensities{};
  /** Per patch, whether its centre is inside the fixed mask. */
  std::vector<std::uint8_t> m_IsFixedPatch{};
  /** Of models that describe each image by itself: the fixed image in the tiles that have been evaluated, by their
   * first patches and their numbers of patches. */
  mutable std::map<std::pair<IndexType, IndexType>, Network::KeptDescriptors> m_FixedDescriptors{};
  mutable std::mutex                                                          m_FixedDescriptorsMutex{};
};

} // namespace cnnmetric

#include "cnnmetricEvaluator.hxx"

#endif
