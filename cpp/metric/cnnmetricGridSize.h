// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricGridSize_h
#define cnnmetricGridSize_h

#include "cnnmetricError.h"
#include "cnnmetricText.h"

#include <itkImageBase.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

namespace cnnmetric
{

/** \class GridSize
 * \brief How many voxels of the evaluation grid fit into a region of an image, and which spacings make sense there.
 *
 * It refuses, with the sizes and what to do, grids that hold no patch and grids that no memory holds. */
template <unsigned int VDimension>
class GridSize
{
public:
  using ImageBaseType = itk::ImageBase<VDimension>;
  using RegionType = typename ImageBaseType::RegionType;

  /** Voxels of the largest grid: 512 per axis in 3D. A grid holds one float per voxel, and to sample the fixed image
   * there takes seconds. An image that is larger itself may have a grid of as many voxels. */
  static constexpr double LargestNumberOfVoxels = 512.0 * 512.0 * 512.0;

  /** By how much the grid that is chosen by default may be finer than the image. Images in mm stay far below. */
  static constexpr double LargestRefinement = 10.0;

  GridSize(const ImageBaseType & image, const RegionType & region)
    : m_Region(region)
  {
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      m_Spacing[d] = image.GetSpacing()[d];
      m_Extents[d] = GetExtent(d);
    }
  }

  /** Distance of the first and the last voxel of the region along an axis, in mm. */
  double
  GetExtent(const unsigned int axis) const
  {
    return static_cast<double>(m_Region.GetSize(axis) - 1) * m_Spacing[axis];
  }

  /** Number of voxels of the grid along every axis. Throws Error if a patch does not fit, or if they are too many. */
  std::array<std::int64_t, VDimension>
  GetNumberOfVoxels(const double spacing, const unsigned int receptiveField) const
  {
    std::array<double, VDimension> available;
    double                         product = 1.0;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      // Without the small tolerance, a grid of the image's own spacing would lose its last voxel to rounding.
      available[d] = std::floor(GetExtent(d) / spacing + 1e-6) + 1.0;
      product *= available[d];
    }
    if (*std::min_element(available.begin(), available.end()) < static_cast<double>(receptiveField))
    {
      ThrowTooSmall(spacing, receptiveField);
    }
    if (!(product <= std::max(LargestNumberOfVoxels, static_cast<double>(m_Region.GetNumberOfPixels()))))
    {
      throw Error("The evaluation grid would have " + JoinAxes(available) + " voxels, more than " +
                  ToText(std::floor(LargestNumberOfVoxels / 1e6)) + " million. The fixed image has " + Describe() +
                  ", the grid spacing is " + ToText(spacing) +
                  " mm. Is the spacing of the image in mm? If it is, raise CNNMetricGridSpacing for this resolution.");
    }
    std::array<std::int64_t, VDimension> count;
    std::copy(available.begin(), available.end(), count.begin());
    return count;
  }

  /** The largest spacing at which a number of voxels fits along every axis, in mm. */
  double
  GetLargestSpacing(const unsigned int numberOfVoxels) const
  {
    double extent = GetExtent(0);
    for (unsigned int d = 1; d < VDimension; ++d)
    {
      extent = std::min(extent, GetExtent(d));
    }
    return numberOfVoxels > 1 ? extent / static_cast<double>(numberOfVoxels - 1)
                              : std::numeric_limits<double>::infinity();
  }

  /** The spacing that is used where nobody asks for one, in mm.
   *
   * It is the model's times the factor of the level. At coarse levels of a small image, where no patch would fit, it is
   * the largest that holds two patches per axis, yet not less than the model's own.
   * Throws Error if the image is far coarser than the grid, which is so if its spacing is not in mm. */
  double
  ChooseSpacing(const double       modelSpacing,
                const double       factor,
                const unsigned int receptiveField,
                unsigned int       stride) const
  {
    const double wanted = modelSpacing * factor;
    if (*std::min_element(m_Spacing.begin(), m_Spacing.end()) > LargestRefinement * wanted)
    {
      throw Error("The fixed image is more than " + ToText(LargestRefinement) +
                  " times coarser than the evaluation grid: it has " + Describe() + ", but the grid spacing is " +
                  ToText(wanted) +
                  " mm, which comes from the model. Is the spacing of the image in mm? If it is, write "
                  "CNNMetricGridSpacing.");
    }
    if (wanted <= GetLargestSpacing(receptiveField) * (1.0 + 1e-6))
    {
      return wanted;
    }
    return std::min(wanted, std::max(modelSpacing, GetLargestSpacing(receptiveField + stride)));
  }

private:
  std::string
  Describe() const
  {
    return JoinAxes(m_Region.GetSize()) + " voxels of " + JoinAxes(m_Spacing) + " mm";
  }

  [[noreturn]] void
  ThrowTooSmall(const double spacing, const unsigned int receptiveField) const
  {
    const double patch = (receptiveField - 1) * spacing;
    const double largest = GetLargestSpacing(receptiveField);
    const bool   isSmallEverywhere = *std::max_element(m_Extents.begin(), m_Extents.end()) < patch;
    TextStream   message;
    message << "The fixed image is smaller than the network's receptive field: it has " << Describe() << ", which are "
            << JoinAxes(m_Extents) << " mm between the centres of its outermost voxels, but a patch of "
            << receptiveField << " voxels at a grid spacing of " << spacing << " mm needs " << patch
            << " mm along every axis. ";
    if (isSmallEverywhere)
    {
      message << "Is the spacing of the image in mm? If it is, lower";
    }
    // A few slices are not too small for the grid but too little of an image.
    else if (largest < 0.2 * spacing)
    {
      message << "Pad the image, or register its slices with a model for 2D images.";
      throw Error(message.str());
    }
    else
    {
      message << "Lower";
    }
    message << " CNNMetricGridSpacing for this resolution (the largest that fits is " << largest
            << " mm), use fewer resolutions, or pad the image.";
    throw Error(message.str());
  }

  RegionType                     m_Region{};
  std::array<double, VDimension> m_Spacing{};
  std::array<double, VDimension> m_Extents{};
};

} // namespace cnnmetric

#endif
