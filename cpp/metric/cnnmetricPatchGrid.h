// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricPatchGrid_h
#define cnnmetricPatchGrid_h

#include "cnnmetricGridSize.h"

#include <itkContinuousIndex.h>
#include <itkImageBase.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>

namespace cnnmetric
{

/** \class PatchGrid
 * \brief The evaluation grid over the fixed image's domain, and the uniform grid of patches on it (the set P of Eq. 2).
 *
 * The grid is isotropic and has the axes of the fixed image (its direction cosines). It lies centred in the requested
 * region, so that margins are equal on both sides where the patches do not fill it. Along an axis, patch i covers the
 * voxels s i ... s i + p - 1.
 */
template <unsigned int VDimension>
class PatchGrid
{
public:
  using IndexType = std::array<std::int64_t, VDimension>;
  using PointType = itk::Point<double, VDimension>;
  using ImageBaseType = itk::ImageBase<VDimension>;

  PatchGrid() = default;

  PatchGrid(const ImageBaseType &                      image,
            const typename ImageBaseType::RegionType & region,
            const double                               spacing,
            const unsigned int                         receptiveField,
            const unsigned int                         stride)
    : m_ReceptiveField(receptiveField)
    , m_Stride(stride)
  {
    const GridSize<VDimension>               gridSize(image, region);
    const IndexType                          available = gridSize.GetNumberOfVoxels(spacing, receptiveField);
    itk::ContinuousIndex<double, VDimension> first;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      const double extent = gridSize.GetExtent(d);
      m_NumberOfPatches[d] = (available[d] - receptiveField) / stride + 1;
      m_Size[d] = receptiveField + stride * (m_NumberOfPatches[d] - 1);
      const double margin = 0.5 * (extent - static_cast<double>(m_Size[d] - 1) * spacing);
      first[d] = static_cast<double>(region.GetIndex(d)) + margin / image.GetSpacing()[d];
      m_Margin[d] = margin / spacing;
      m_Extent[d] = extent / spacing;
      m_ImageSpacing[d] = image.GetSpacing()[d] / spacing;
      for (unsigned int row = 0; row < VDimension; ++row)
      {
        m_Step[d][row] = image.GetDirection()(row, d) * spacing;
      }
    }
    m_Origin = image.template TransformContinuousIndexToPhysicalPoint<double, double>(first);
  }

  /** Number of voxels per axis, ITK order. */
  const IndexType &
  GetSize() const
  {
    return m_Size;
  }

  /** Number of patches per axis, ITK order. */
  const IndexType &
  GetNumberOfPatches() const
  {
    return m_NumberOfPatches;
  }

  unsigned int
  GetReceptiveField() const
  {
    return m_ReceptiveField;
  }

  unsigned int
  GetStride() const
  {
    return m_Stride;
  }

  /** Physical position of a voxel, in mm. */
  PointType
  GetPoint(const IndexType & voxel) const
  {
    PointType point = m_Origin;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      point += m_Step[d] * static_cast<double>(voxel[d]);
    }
    return point;
  }

  /** Voxel in the middle of a patch. A patch is inside a mask if this voxel is. */
  IndexType
  GetCentre(const IndexType & patch) const
  {
    IndexType voxel;
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      voxel[d] = patch[d] * m_Stride + m_ReceptiveField / 2;
    }
    return voxel;
  }

  /** The same grid, moved by less than a stride per axis, so that the centres of patches lie on a mask that the centres
   * of this grid miss: on as many of its points as one move allows, or nearly.
   * \param isInside whether a point, in mm, is inside the mask
   * \return nothing if no place for a centre inside the image is inside the mask */
  std::optional<PatchGrid>
  MovedOnto(const std::function<bool(const PointType &)> & isInside) const;

  bool
  Contains(const IndexType & voxel) const
  {
    return IsWithin(voxel, m_Size);
  }

  bool
  ContainsPatch(const IndexType & patch) const
  {
    return IsWithin(patch, m_NumberOfPatches);
  }

private:
  /** Points at which MovedOnto looks at the mask between the voxels of the image: a second or two. */
  static constexpr double LargestSearch = 16e6;

  static bool
  IsWithin(const IndexType & index, const IndexType & size)
  {
    for (unsigned int d = 0; d < VDimension; ++d)
    {
      if (index[d] < 0 || index[d] >= size[d])
      {
        return false;
      }
    }
    return true;
  }

  unsigned int m_ReceptiveField{ 1 };
  unsigned int m_Stride{ 1 };
  IndexType    m_Size{};
  IndexType    m_NumberOfPatches{};
  PointType    m_Origin{};
  /** In voxels of the grid: the space before its first voxel, the region's extent, and the image's voxel size. */
  std::array<double, VDimension>                          m_Margin{};
  std::array<double, VDimension>                          m_Extent{};
  std::array<double, VDimension>                          m_ImageSpacing{};
  std::array<itk::Vector<double, VDimension>, VDimension> m_Step{};
};

} // namespace cnnmetric

#include "cnnmetricPatchGrid.hxx"

#endif
