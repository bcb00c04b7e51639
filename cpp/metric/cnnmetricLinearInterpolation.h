// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricLinearInterpolation_h
#define cnnmetricLinearInterpolation_h

#include <itkContinuousIndex.h>
#include <itkCovariantVector.h>
#include <itkImage.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace cnnmetric
{

/** Multilinear interpolation: call visit(index, weight, slope) for the 2^D voxels around a position inside the region.
 *
 * `weight` is the share of the voxel. `slope[d]` is the derivative of the share by the position along axis d, in
 * voxels. Positions beyond the centres of the outermost voxels take the values of these voxels, with slope 0, as in
 * itk::LinearInterpolateImageFunction. */
template <unsigned int VDimension, typename TVisitor>
void
VisitLinearWeights(const itk::ImageRegion<VDimension> &             region,
                   const itk::ContinuousIndex<double, VDimension> & position,
                   TVisitor &&                                      visit)
{
  std::array<itk::IndexValueType, VDimension> first;
  std::array<double, VDimension>              fraction;
  std::array<bool, VDimension>                isFlat;
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    const auto   lowest = static_cast<double>(region.GetIndex(d));
    const auto   highest = static_cast<double>(region.GetUpperIndex()[d]);
    const double clamped = std::clamp(position[d], lowest, highest);
    const double below = std::clamp(std::floor(clamped), lowest, std::max(lowest, highest - 1.0));
    first[d] = static_cast<itk::IndexValueType>(below);
    fraction[d] = clamped - below;
    isFlat[d] = clamped != position[d] || lowest == highest;
  }
  for (unsigned int corner = 0; corner < (1u << VDimension); ++corner)
  {
    itk::Index<VDimension>         index;
    double                         weight = 1.0;
    std::array<double, VDimension> slope;
    slope.fill(1.0);
    bool isInside = true;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      const bool isUpper = (corner >> d & 1u) != 0;
      index[d] = first[d] + (isUpper ? 1 : 0);
      isInside = isInside && index[d] <= region.GetUpperIndex()[d];
      const double share = isUpper ? fraction[d] : 1.0 - fraction[d];
      weight *= share;
      for (unsigned int e = 0; e < VDimension; ++e)
      {
        slope[e] *= e != d ? share : isFlat[d] ? 0.0 : isUpper ? 1.0 : -1.0;
      }
    }
    if (isInside)
    {
      visit(index, weight, slope);
    }
  }
}

/** Value at a position inside the buffer and its gradient in physical space, in intensity per mm. */
template <typename TPixel, unsigned int VDimension>
double
InterpolateLinearly(const itk::Image<TPixel, VDimension> &           image,
                    const itk::ContinuousIndex<double, VDimension> & position,
                    itk::CovariantVector<double, VDimension> &       gradient)
{
  double                         value = 0.0;
  std::array<double, VDimension> perVoxel{};
  VisitLinearWeights(
    image.GetBufferedRegion(), position, [&](const auto & index, const double weight, const auto & slope) {
      const auto intensity = static_cast<double>(image.GetPixel(index));
      value += weight * intensity;
      for (unsigned int d = 0; d < VDimension; ++d)
      {
        perVoxel[d] += slope[d] * intensity;
      }
    });
  for (unsigned int row = 0; row < VDimension; ++row)
  {
    gradient[row] = 0.0;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      gradient[row] += perVoxel[d] / image.GetSpacing()[d] * image.GetInverseDirection()(d, row);
    }
  }
  return value;
}

} // namespace cnnmetric

#endif
