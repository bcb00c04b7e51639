// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricEvaluator_hxx
#define cnnmetricEvaluator_hxx

#include "cnnmetricBoxSum.h"
#include "cnnmetricEvaluatorPatches.hxx"
#include "cnnmetricParallel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace cnnmetric
{

/** Scratch memory and partial sums of one thread. */
template <unsigned int VDimension>
struct Evaluator<VDimension>::Worker
{
  unsigned int number{};

  /** Network input and output of the current block. */
  std::vector<float> patches{};
  std::vector<float> weights{};
  std::vector<float> dissimilarity{};
  /** Gradient of the network by the moving image's intensities. */
  std::vector<float> gradient{};
  /** Per voxel: grad I'_m, which includes the slope of the normalisation. */
  std::vector<itk::CovariantVector<float, VDimension>> movingGradient{};
  /** Per voxel: 1 where T(x) is inside the moving buffer. */
  std::vector<float> inBuffer{};
  /** Whether the current block holds nothing but background, so that its derivative is zero. */
  bool isBackground{};
  /** What the network says of a block of background, by the number of its patches. */
  std::map<IndexType, std::vector<float>> dissimilarityOfBackground{};

  bool                wantsDerivative{};
  Evaluation          sums{};
  std::vector<double> derivative{};
  /** Per voxel of the grid, this worker's share of Maps::derivative; empty if it is not wanted. */
  std::vector<float> derivativeMap{};
};


template <unsigned int VDimension>
Evaluator<VDimension>::Evaluator(std::shared_ptr<const Network> network,
                                 const unsigned int             fixedChannel,
                                 const GridType &               grid,
                                 const FixedDomain &            fixedDomain,
                                 const IntensityNormalisation & fixedNormalisation,
                                 const IntensityNormalisation & movingNormalisation)
  : m_Network(std::move(network))
  , m_FixedChannel(fixedChannel)
  , m_Grid(grid)
  , m_MovingNormalisation(movingNormalisation)
{
  SelectFixedPatches(fixedDomain.isInside);
  m_FixedIntensities.resize(NumberOfElements(m_Grid.GetSize()));
  ForEachIndex(m_Grid.GetSize(), [&](const IndexType & voxel, const std::size_t offset) {
    m_FixedIntensities[offset] =
      static_cast<float>(fixedNormalisation.Apply(fixedDomain.intensity(m_Grid.GetPoint(voxel))));
  });
}


template <unsigned int VDimension>
Evaluation
Evaluator<VDimension>::Evaluate(const WarpType &   warp,
                                const BlocksType & blocks,
                                const unsigned int numberOfWorkers,
                                double * const     derivative,
                                Maps * const       maps) const
{
  const std::size_t numberOfParameters = warp.GetNumberOfParameters();
  Profile           profile;
  profile.evaluations = 1;
  if (maps)
  {
    maps->dissimilarity.assign(m_IsFixedPatch.size(), std::numeric_limits<float>::quiet_NaN());
    maps->derivative.assign(derivative ? m_FixedIntensities.size() : 0, 0.0f);
  }

  std::vector<Worker> workers(std::max<std::size_t>(1, std::min<std::size_t>(numberOfWorkers, blocks.size())));
  const auto          evaluateBlocks = [&](const unsigned int number) {
    Worker & worker = workers[number];
    worker.number = number;
    worker.wantsDerivative = derivative != nullptr;
    worker.derivative.assign(derivative ? numberOfParameters : 0, 0.0);
    worker.derivativeMap.assign(maps ? maps->derivative.size() : 0, 0.0f);
    for (std::size_t i = number; i < blocks.size(); i += workers.size())
    {
      EvaluateBlock(warp, blocks[i], worker, maps);
    }
  };
  {
    const Stopwatch ofAll(profile.all, static_cast<double>(workers.size()));
    const Stopwatch elapsed(profile.elapsed);
    RunWorkers(static_cast<unsigned int>(workers.size()), evaluateBlocks);
  }

  // Added in the order of the workers, not in that in which they finish, so that the sum is the same every time.
  Evaluation total;
  for (const Worker & worker : workers)
  {
    total.value += worker.sums.value;
    total.weight += worker.sums.weight;
    total.numberOfFixedPatches += worker.sums.numberOfFixedPatches;
    total.numberOfPatchesInBuffer += worker.sums.numberOfPatchesInBuffer;
    total.numberOfValidPatches += worker.sums.numberOfValidPatches;
    profile += worker.sums.profile;
  }
  const double scale = total.weight > 0.0 ? 1.0 / total.weight : 0.0;
  total.value *= scale;
  if (derivative)
  {
    std::fill_n(derivative, numberOfParameters, 0.0);
    for (const Worker & worker : workers)
    {
      for (std::size_t i = 0; i < numberOfParameters; ++i)
      {
        derivative[i] += worker.derivative[i] * scale;
      }
      for (std::size_t i = 0; i < worker.derivativeMap.size(); ++i)
      {
        maps->derivative[i] += worker.derivativeMap[i] * static_cast<float>(scale);
      }
    }
  }
  total.profile = profile;
  CheckFinite(total, derivative, numberOfParameters, maps, m_Network->GetInformation().path);
  return total;
}


template <unsigned int VDimension>
void
Evaluator<VDimension>::EvaluateBlock(const WarpType &  warp,
                                     const BlockType & block,
                                     Worker &          worker,
                                     Maps * const      maps) const
{
  IndexType firstVoxel;
  IndexType size;
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    firstVoxel[d] = block.firstPatch[d] * m_Grid.GetStride();
    size[d] = m_Grid.GetReceptiveField() + m_Grid.GetStride() * (block.numberOfPatches[d] - 1);
  }

  worker.sums.profile.voxels += NumberOfElements(size);
  WarpBlock(warp, firstVoxel, size, worker);
  const double weight = WeighPatches(warp, block, size, worker);
  if (weight == 0.0)
  {
    return;
  }

  RunNetwork(block, size, worker);
  worker.sums.weight += weight;
  worker.sums.value +=
    std::inner_product(worker.weights.begin(), worker.weights.end(), worker.dissimilarity.begin(), 0.0);

  if (maps)
  {
    ForEachIndex(block.numberOfPatches, [&](IndexType patch, const std::size_t offset) {
      for (unsigned int d = 0; d < VDimension; ++d)
      {
        patch[d] += block.firstPatch[d];
      }
      if (worker.weights[offset] > 0.0f)
      {
        maps->dissimilarity[Offset(patch, m_Grid.GetNumberOfPatches())] = worker.dissimilarity[offset];
      }
    });
  }

  if (worker.wantsDerivative && !worker.isBackground)
  {
    AccumulateDerivative(warp, firstVoxel, size, worker);
  }
}


template <unsigned int VDimension>
void
Evaluator<VDimension>::RunNetwork(const BlockType & block, const IndexType & size, Worker & worker) const
{
  // Many blocks of an image with wide margins hold no voxel but background. The network sees the same numbers in each
  // that is as large, so it runs for the first of them; and without a gradient of I'_m there is no derivative.
  worker.isBackground =
    std::all_of(worker.patches.begin(), worker.patches.end(), [](const float value) { return value == 0.0f; }) &&
    std::all_of(worker.movingGradient.begin(), worker.movingGradient.end(), [](const auto & gradient) {
      return gradient == itk::CovariantVector<float, VDimension>(0.0f);
    });
  if (worker.isBackground)
  {
    const auto known = worker.dissimilarityOfBackground.find(block.numberOfPatches);
    if (known != worker.dissimilarityOfBackground.end())
    {
      worker.dissimilarity = known->second;
      return;
    }
  }

  const Stopwatch stopwatch(worker.sums.profile.network);
  // Eq. 2: N for every patch of the block. Its derivative by every voxel of I'_m is the first factor of Eq. 5.
  const std::vector<std::int64_t> memoryOrder(size.rbegin(), size.rend());
  Network::Gradients              gradients{};
  gradients[1 - m_FixedChannel] = worker.wantsDerivative ? &worker.gradient : nullptr;
  Network::KeptDescriptors fixed = block.recurs ? FindFixedDescriptors(block) : nullptr;
  m_Network->Evaluate(
    memoryOrder, worker.patches, worker.weights, worker.dissimilarity, gradients, block.recurs ? &fixed : nullptr);
  if (fixed)
  {
    KeepFixedDescriptors(block, fixed);
  }
  if (worker.isBackground)
  {
    worker.dissimilarityOfBackground[block.numberOfPatches] = worker.dissimilarity;
  }
}


template <unsigned int VDimension>
void
Evaluator<VDimension>::AccumulateDerivative(const WarpType &  warp,
                                            const IndexType & firstVoxel,
                                            const IndexType & size,
                                            Worker &          worker) const
{
  const Stopwatch stopwatch(worker.sums.profile.jacobian);
  // Eq. 5: the sum over x of (dN/dI'_m(x)) grad I_m(T(x)) J_T(x), with the Jacobian of every single voxel.
  const std::size_t   numberOfVoxels = NumberOfElements(size);
  const float * const networkGradient = worker.gradient.data();
  const float * const moving = worker.patches.data() + (1 - m_FixedChannel) * numberOfVoxels;
  ForEachIndex(size, [&](IndexType voxel, const std::size_t offset) {
    itk::CovariantVector<double, VDimension> metricGradient;
    bool                                     isZero = true;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      metricGradient[d] = static_cast<double>(networkGradient[offset]) * worker.movingGradient[offset][d];
      isZero = isZero && metricGradient[d] == 0.0;
      voxel[d] += firstVoxel[d];
    }
    // Most of the background of a brain image has no gradient, so its Jacobian is not needed.
    if (!isZero)
    {
      warp.AccumulateDerivative(GetVoxel(voxel), metricGradient, worker.number, worker.derivative.data());
    }
    if (!worker.derivativeMap.empty() && m_Grid.Contains(voxel))
    {
      worker.derivativeMap[Offset(voxel, m_Grid.GetSize())] +=
        networkGradient[offset] * static_cast<float>(m_MovingNormalisation.SlopeOfNormalised(moving[offset]));
    }
  });
}


template <unsigned int VDimension>
void
Evaluator<VDimension>::WarpBlock(const WarpType &  warp,
                                 const IndexType & firstVoxel,
                                 const IndexType & size,
                                 Worker &          worker) const
{
  const Stopwatch   stopwatch(worker.sums.profile.warp);
  const std::size_t numberOfVoxels = NumberOfElements(size);
  worker.patches.assign(2 * numberOfVoxels, 0.0f);
  worker.inBuffer.assign(numberOfVoxels, 0.0f);
  worker.movingGradient.assign(numberOfVoxels, itk::CovariantVector<float, VDimension>(0.0f));
  float * const fixed = worker.patches.data() + m_FixedChannel * numberOfVoxels;
  float * const moving = worker.patches.data() + (1 - m_FixedChannel) * numberOfVoxels;

  ForEachIndex(size, [&](IndexType voxel, const std::size_t offset) {
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      voxel[d] += firstVoxel[d];
    }
    if (!m_Grid.Contains(voxel))
    {
      return; // outside of the grid, in a block that sticks out; the patches here weigh nothing
    }
    fixed[offset] = m_FixedIntensities[Offset(voxel, m_Grid.GetSize())];

    double                                   intensity = 0.0;
    itk::CovariantVector<double, VDimension> gradient;
    if (warp.Evaluate(GetVoxel(voxel), worker.number, intensity, gradient))
    {
      worker.inBuffer[offset] = 1.0f;
      moving[offset] = static_cast<float>(m_MovingNormalisation.Apply(intensity));
      const double slope = m_MovingNormalisation.Slope(intensity);
      for (unsigned int d = 0; d < VDimension; ++d)
      {
        worker.movingGradient[offset][d] = static_cast<float>(slope * gradient[d]);
      }
    }
  });
}


template <unsigned int VDimension>
double
Evaluator<VDimension>::WeighPatches(const WarpType &  warp,
                                    const BlockType & block,
                                    const IndexType & size,
                                    Worker &          worker) const
{
  const std::int64_t p = m_Grid.GetReceptiveField();
  const std::int64_t s = m_Grid.GetStride();
  const float        patchVolume = std::pow(static_cast<float>(p), static_cast<float>(VDimension));
  // Inside the moving image, where most blocks are, every sum is the volume of a patch.
  if (std::all_of(worker.inBuffer.begin(), worker.inBuffer.end(), [](const float inside) { return inside == 1.0f; }))
  {
    worker.weights.assign(NumberOfElements(block.numberOfPatches), patchVolume);
  }
  else
  {
    worker.weights = BoxSum(worker.inBuffer, size, p, s);
  }

  double sum = 0.0;
  ForEachIndex(block.numberOfPatches, [&](const IndexType & patch, const std::size_t offset) {
    IndexType gridPatch;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      gridPatch[d] = patch[d] + block.firstPatch[d];
    }
    float & weight = worker.weights[offset];
    if (!m_Grid.ContainsPatch(gridPatch) || !m_IsFixedPatch[Offset(gridPatch, m_Grid.GetNumberOfPatches())])
    {
      weight = 0.0f;
      return;
    }
    ++worker.sums.numberOfFixedPatches;
    if (worker.inBuffer[Offset(m_Grid.GetCentre(patch), size)] == 0.0f)
    {
      weight = 0.0f;
      return;
    }
    ++worker.sums.numberOfPatchesInBuffer;
    if (!warp.IsInsideMovingMask(GetVoxel(m_Grid.GetCentre(gridPatch))))
    {
      weight = 0.0f;
      return;
    }
    ++worker.sums.numberOfValidPatches;
    weight /= patchVolume;
    sum += weight;
  });
  return sum;
}

} // namespace cnnmetric

#endif
