// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricWarp_h
#define cnnmetricWarp_h

#include <itkCovariantVector.h>
#include <itkPoint.h>

#include <cstddef>

namespace cnnmetric
{

/** \class Warp
 * \brief A transform and a moving image: I_m(T(x)), its spatial gradient, and the product with J_T(x).
 *
 * elastix and ITKv4 name and organise these differently. Each adapter implements this interface, and the mathematics is
 * in Evaluator. `worker` is the number of the calling thread, for scratch memory; no two threads have the same number.
 */
template <unsigned int VDimension>
class Warp
{
public:
  using PointType = itk::Point<double, VDimension>;
  using GradientType = itk::CovariantVector<double, VDimension>;

  /** A voxel of the evaluation grid: its place in memory, and its centre in the fixed image's domain, in mm. */
  struct Voxel
  {
    std::size_t number{};
    PointType   point{};
  };

  virtual ~Warp() = default;

  virtual std::size_t
  GetNumberOfParameters() const = 0;

  /** I_m(T(x)), and grad I_m at T(x) in intensity per mm.
   * \return false if T(x) is outside of the moving image's buffer; the output is then not set */
  virtual bool
  Evaluate(const Voxel & x, unsigned int worker, double & intensity, GradientType & gradient) const = 0;

  /** Whether T(x) is inside the moving mask; true if there is no mask. */
  virtual bool
  IsInsideMovingMask(const Voxel & x) const = 0;

  /** derivative += (dM/dT(x)) J_T(x), the sparse product at the end of Eq. 5. */
  virtual void
  AccumulateDerivative(const Voxel &        x,
                       const GradientType & metricGradient,
                       unsigned int         worker,
                       double *             derivative) const = 0;
};

} // namespace cnnmetric

#endif
