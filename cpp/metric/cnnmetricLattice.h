// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricLattice_h
#define cnnmetricLattice_h

#include <array>
#include <cstddef>
#include <cstdint>

namespace cnnmetric
{

template <std::size_t VDimension>
std::size_t
NumberOfElements(const std::array<std::int64_t, VDimension> & size)
{
  std::size_t product = 1;
  for (const std::int64_t edge : size)
  {
    product *= static_cast<std::size_t>(edge);
  }
  return product;
}

/** Position in memory of an index; the first axis runs fastest, as in an ITK image. */
template <std::size_t VDimension>
std::size_t
Offset(const std::array<std::int64_t, VDimension> & index, const std::array<std::int64_t, VDimension> & size)
{
  std::size_t offset = 0;
  for (std::size_t d = VDimension; d-- > 0;)
  {
    offset = offset * static_cast<std::size_t>(size[d]) + static_cast<std::size_t>(index[d]);
  }
  return offset;
}

/** Call visit(index, offset) for every element of a lattice, in memory order. */
template <std::size_t VDimension, typename TVisitor>
void
ForEachIndex(const std::array<std::int64_t, VDimension> & size, TVisitor && visit)
{
  std::array<std::int64_t, VDimension> index{};
  const std::size_t                    count = NumberOfElements(size);
  for (std::size_t offset = 0; offset < count; ++offset)
  {
    visit(index, offset);
    for (std::size_t d = 0; d < VDimension && ++index[d] == size[d]; ++d)
    {
      index[d] = 0;
    }
  }
}

} // namespace cnnmetric

#endif
