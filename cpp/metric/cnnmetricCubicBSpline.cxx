// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricCubicBSpline.h"

#include "vectorised.h"

#include <cmath>

namespace cnnmetric
{

namespace
{

/** Rows of four neighbours along x that hold the control points around a point. */
template <unsigned int VDimension>
constexpr unsigned int NumberOfRows = VDimension == 3 ? 16 : 4;

/** Number of the first control point of every row, and the product of the weights along the other axes. */
template <unsigned int VDimension>
struct Rows
{
  std::ptrdiff_t offset[NumberOfRows<VDimension>];
  double         weight[NumberOfRows<VDimension>];
};

template <unsigned int VDimension>
CNNMETRIC_INLINE Rows<VDimension>
GetRows(const CubicBSpline<VDimension> & spline, const typename CubicBSpline<VDimension>::Support & support)
{
  Rows<VDimension> rows;
  for (unsigned int k = 0; k < NumberOfRows<VDimension>; ++k)
  {
    rows.offset[k] = support.first + (k & 3) * spline.size[0];
    rows.weight[k] = support.weights[1][k & 3];
    if constexpr (VDimension == 3)
    {
      rows.offset[k] += (k >> 2) * spline.size[0] * spline.size[1];
      rows.weight[k] *= support.weights[2][k >> 2];
    }
  }
  return rows;
}

template <unsigned int VDimension>
CNNMETRIC_INLINE void
Sum(const CubicBSpline<VDimension> &                   spline,
    const typename CubicBSpline<VDimension>::Support & support,
    typename CubicBSpline<VDimension>::VectorType &    displacement)
{
  const auto rows = GetRows(spline, support);
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    double sums[4] = {};
    for (unsigned int k = 0; k < NumberOfRows<VDimension>; ++k)
    {
      const double * const row = spline.coefficients[d] + rows.offset[k];
      for (unsigned int i = 0; i < 4; ++i)
      {
        sums[i] += rows.weight[k] * row[i];
      }
    }
    displacement[d] = 0.0;
    for (unsigned int i = 0; i < 4; ++i)
    {
      displacement[d] += support.weights[0][i] * sums[i];
    }
  }
}

template <unsigned int VDimension>
CNNMETRIC_INLINE void
Add(const CubicBSpline<VDimension> &                      spline,
    const typename CubicBSpline<VDimension>::Support &    support,
    const typename CubicBSpline<VDimension>::VectorType & gradient,
    double * const                                        derivative)
{
  const auto     rows = GetRows(spline, support);
  std::ptrdiff_t numberPerAxis = 1;
  for (const std::ptrdiff_t number : spline.size)
  {
    numberPerAxis *= number;
  }
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    double shares[4];
    for (unsigned int i = 0; i < 4; ++i)
    {
      shares[i] = gradient[d] * support.weights[0][i];
    }
    for (unsigned int k = 0; k < NumberOfRows<VDimension>; ++k)
    {
      double * const row = derivative + static_cast<std::ptrdiff_t>(d) * numberPerAxis + rows.offset[k];
      for (unsigned int i = 0; i < 4; ++i)
      {
        row[i] += rows.weight[k] * shares[i];
      }
    }
  }
}

// Compilers make versions for several processors of plain functions only, not of templates.
CNNMETRIC_VECTORISED void
SumVectorised(const CubicBSpline<2> &          spline,
              const CubicBSpline<2>::Support & support,
              CubicBSpline<2>::VectorType &    result)
{
  Sum(spline, support, result);
}

CNNMETRIC_VECTORISED void
SumVectorised(const CubicBSpline<3> &          spline,
              const CubicBSpline<3>::Support & support,
              CubicBSpline<3>::VectorType &    result)
{
  Sum(spline, support, result);
}

CNNMETRIC_VECTORISED void
AddVectorised(const CubicBSpline<2> &             spline,
              const CubicBSpline<2>::Support &    support,
              const CubicBSpline<2>::VectorType & gradient,
              double * const                      derivative)
{
  Add(spline, support, gradient, derivative);
}

CNNMETRIC_VECTORISED void
AddVectorised(const CubicBSpline<3> &             spline,
              const CubicBSpline<3>::Support &    support,
              const CubicBSpline<3>::VectorType & gradient,
              double * const                      derivative)
{
  Add(spline, support, gradient, derivative);
}

} // namespace


template <unsigned int VDimension>
bool
CubicBSpline<VDimension>::Find(const VectorType & point, Support & support) const
{
  support.first = 0;
  std::ptrdiff_t step = 1;
  for (unsigned int d = 0; d < VDimension; ++d)
  {
    double index = 0.0;
    for (unsigned int e = 0; e < VDimension; ++e)
    {
      index += pointToIndex[d][e] * (point[e] - origin[e]);
    }
    const auto last = static_cast<double>(size[d] - 2);
    if (!(index >= 1.0 && index < last)) // NaN is not inside either
    {
      return false;
    }
    const double below = std::floor(index);
    const double t = index - below;
    const double rest = 1.0 - t;
    support.weights[d] = { rest * rest * rest / 6.0,
                           (4.0 + t * t * (3.0 * t - 6.0)) / 6.0,
                           (4.0 + rest * rest * (3.0 * rest - 6.0)) / 6.0,
                           t * t * t / 6.0 };
    support.first += (static_cast<std::ptrdiff_t>(below) - 1) * step;
    step *= size[d];
  }
  return true;
}


template <unsigned int VDimension>
auto
CubicBSpline<VDimension>::GetDisplacement(const Support & support) const -> VectorType
{
  VectorType displacement;
  SumVectorised(*this, support, displacement);
  return displacement;
}


template <unsigned int VDimension>
void
CubicBSpline<VDimension>::AccumulateDerivative(const Support &    support,
                                               const VectorType & gradient,
                                               double * const     derivative) const
{
  AddVectorised(*this, support, gradient, derivative);
}


template class CubicBSpline<2>;
template class CubicBSpline<3>;

} // namespace cnnmetric
