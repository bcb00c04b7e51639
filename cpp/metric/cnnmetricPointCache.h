// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricPointCache_h
#define cnnmetricPointCache_h

#include <itkPoint.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>

namespace cnnmetric
{

/** \class PointCache
 * \brief Where a transform that does not change takes the voxels of a grid: computed when first asked for.
 *
 * Any number of threads may ask at once. Places are kept in single precision, which at 100 mm is 10 nm.
 */
template <unsigned int VDimension>
class PointCache
{
public:
  using PointType = itk::Point<double, VDimension>;

  /** More voxels than that, and nothing is kept: the memory is worth more than the time. */
  static constexpr std::size_t MostVoxels = 20'000'000;

  explicit PointCache(const std::size_t numberOfVoxels)
    : m_Values(new std::atomic<float>[numberOfVoxels * VDimension])
  {
    for (std::size_t i = 0; i < numberOfVoxels * VDimension; ++i)
    {
      m_Values[i].store(std::numeric_limits<float>::quiet_NaN(), std::memory_order_relaxed);
    }
  }

  /** The place of a voxel.
   * \param compute returns it, as a point; always the same one */
  template <typename TCompute>
  PointType
  Get(const std::size_t voxel, const TCompute & compute) const
  {
    std::atomic<float> * const values = m_Values.get() + voxel * VDimension;
    PointType                  point;
    bool                       isKnown = true;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      point[d] = values[d].load(std::memory_order_relaxed);
      isKnown = isKnown && !std::isnan(point[d]);
    }
    if (isKnown)
    {
      return point;
    }
    point = compute();
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      // Rounded at once, so that the first answer is the same as all later ones.
      const auto rounded = static_cast<float>(point[d]);
      values[d].store(rounded, std::memory_order_relaxed);
      point[d] = rounded;
    }
    return point;
  }

private:
  std::unique_ptr<std::atomic<float>[]> m_Values;
};

} // namespace cnnmetric

#endif
