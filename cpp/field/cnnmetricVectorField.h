// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricVectorField_h
#define cnnmetricVectorField_h

#include <array>
#include <cstddef>

namespace cnnmetric
{

/** \class VectorField
 * \brief What a displacement field needs at every voxel, on plain arrays: interpolation and Gaussian filters.
 *
 * Arrays have axes z, y, x and a last one of components; those of two dimensions have one voxel along z. Results do not
 * depend on the number of threads.
 */
class VectorField
{
public:
  using Shape = std::array<std::ptrdiff_t, 3>;

  /** What values are beyond the border: 0, or those of the border. */
  enum class Outside
  {
    Zero,
    Nearest
  };

  /** Interpolate linearly at displaced voxels: result(x) = factor(x) values(x + field(x)).
   * \param shape of values, field, factor and result
   * \param components of values and result, 1 to 3
   * \param dimension 2 or 3: components of the field, in voxels along z, y, x or y, x
   * \param factor nullptr for 1. Where it is 0, nothing is interpolated. */
  static void
  Sample(const Shape & shape,
         unsigned int  components,
         unsigned int  dimension,
         const float * values,
         const float * field,
         const float * factor,
         Outside       outside,
         unsigned int  numberOfThreads,
         float *       result);

  /** Filter with a Gaussian of a standard deviation in voxels, cut off at three of them; at the border the array is
   * continued by its mirror image. Along an axis of one voxel nothing changes. */
  static void
  Smooth(const Shape & shape, unsigned int components, double deviation, unsigned int numberOfThreads, float * values);
};

} // namespace cnnmetric

#endif
