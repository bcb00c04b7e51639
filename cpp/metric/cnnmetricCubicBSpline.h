// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricCubicBSpline_h
#define cnnmetricCubicBSpline_h

#include <array>
#include <cstddef>

namespace cnnmetric
{

/** \class CubicBSpline
 * \brief Displacement of points by control points of cubic B-splines, and its derivative by their coefficients.
 *
 * The same numbers as transforms of ITK and elastix have, of double precision, with fewer steps from one control point
 * to the next. Points whose 4^D control points are not all on the grid stay where they are, and have no derivative.
 */
template <unsigned int VDimension>
class CubicBSpline
{
public:
  using VectorType = std::array<double, VDimension>;

  /** The control points around a point. */
  struct Support
  {
    /** Number of the first one. */
    std::ptrdiff_t                                first{};
    std::array<std::array<double, 4>, VDimension> weights{};
  };

  /** Control points along x, y, z, of which x is next to each other in memory. */
  std::array<std::ptrdiff_t, VDimension> size{};
  VectorType                             origin{};
  /** From mm to control points: index = pointToIndex (point - origin). */
  std::array<VectorType, VDimension> pointToIndex{};
  /** Of the displacement along every axis. */
  std::array<const double *, VDimension> coefficients{};

  /** Find the control points around a point, in mm.
   * \return false if the grid does not hold all of them */
  bool
  Find(const VectorType & point, Support & support) const;

  /** The displacement in mm. */
  VectorType
  GetDisplacement(const Support & support) const;

  /** derivative += gradient dT/dcoefficient, in the order of the coefficients, those of one axis after the other. */
  void
  AccumulateDerivative(const Support & support, const VectorType & gradient, double * derivative) const;
};

} // namespace cnnmetric

#endif
