// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricVectorField.h"

#include "cnnmetricParallel.h"
#include "vectorised.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace cnnmetric
{

namespace
{

using Shape = VectorField::Shape;

/** Numbers that are filtered together: many enough for vectors, few enough for the first cache. */
constexpr std::ptrdiff_t Together = 256;

/** Run work(i) for every i below `count`, a range of them on every thread. */
template <typename TWork>
void
ForEach(const std::ptrdiff_t count, const unsigned int numberOfThreads, const TWork & work)
{
  const auto workers = static_cast<unsigned int>(std::clamp<std::ptrdiff_t>(count, 1, numberOfThreads));
  RunWorkers(workers, [&](const unsigned int worker) {
    for (std::ptrdiff_t i = count * worker / workers; i < count * (worker + 1) / workers; ++i)
    {
      work(i);
    }
  });
}

/** Where a coordinate lies between two voxels of an axis. */
struct Between
{
  std::ptrdiff_t first{};
  std::ptrdiff_t step{};  // to the next voxel; 0 on an axis of one voxel
  float          share{}; // of the next voxel
};

CNNMETRIC_INLINE Between
Find(const float coordinate, const std::ptrdiff_t size)
{
  if (size == 1)
  {
    return {};
  }
  const float inside =
    std::min(std::max(0.0f, coordinate), static_cast<float>(size - 1)); // in this order, NaN becomes 0
  const auto first = std::min(static_cast<std::ptrdiff_t>(inside), size - 2);
  return { first, 1, inside - static_cast<float>(first) };
}

CNNMETRIC_INLINE bool
IsInside(const float coordinate, const std::ptrdiff_t size)
{
  return coordinate >= 0.0f && coordinate <= static_cast<float>(size - 1);
}

/** One row of VectorField::Sample. */
template <unsigned int VComponents, unsigned int VDimension>
CNNMETRIC_INLINE void
SampleRow(const Shape &              shape,
          const std::ptrdiff_t       z,
          const std::ptrdiff_t       y,
          const float * const        values,
          const float * const        field,
          const float * const        factor,
          const VectorField::Outside outside,
          float * __restrict result)
{
  const std::ptrdiff_t alongY = shape[2] * VComponents;
  const std::ptrdiff_t alongZ = shape[1] * alongY;
  for (std::ptrdiff_t x = 0; x < shape[2]; ++x)
  {
    float sums[VComponents] = {};
    float scale = factor ? factor[x] : 1.0f;
    if (scale != 0.0f)
    {
      const float * const displacement = field + x * VDimension;
      const float         atZ = static_cast<float>(z) + (VDimension == 3 ? displacement[0] : 0.0f);
      const float         atY = static_cast<float>(y) + displacement[VDimension - 2];
      const float         atX = static_cast<float>(x) + displacement[VDimension - 1];
      if (outside == VectorField::Outside::Zero &&
          !(IsInside(atZ, shape[0]) && IsInside(atY, shape[1]) && IsInside(atX, shape[2])))
      {
        scale = 0.0f;
      }
      else
      {
        const Between       inZ = Find(atZ, shape[0]);
        const Between       inY = Find(atY, shape[1]);
        const Between       inX = Find(atX, shape[2]);
        const float * const corner = values + inZ.first * alongZ + inY.first * alongY + inX.first * VComponents;
        const float         weightsZ[2] = { 1.0f - inZ.share, inZ.share };
        const float         weightsY[2] = { 1.0f - inY.share, inY.share };
        for (std::ptrdiff_t k = 0; k < 4; ++k)
        {
          const float * const first = corner + (k >> 1) * inZ.step * alongZ + (k & 1) * inY.step * alongY;
          const float * const next = first + inX.step * VComponents;
          const float         weight = weightsZ[k >> 1] * weightsY[k & 1];
          for (unsigned int c = 0; c < VComponents; ++c)
          {
            sums[c] += weight * (first[c] + inX.share * (next[c] - first[c]));
          }
        }
      }
    }
    for (unsigned int c = 0; c < VComponents; ++c)
    {
      result[x * VComponents + c] = scale * sums[c];
    }
  }
}

template <unsigned int VComponents, unsigned int VDimension>
void
SampleAll(const Shape &              shape,
          const float * const        values,
          const float * const        field,
          const float * const        factor,
          const VectorField::Outside outside,
          const unsigned int         numberOfThreads,
          float * const              result)
{
  ForEach(shape[0] * shape[1], numberOfThreads, [&](const std::ptrdiff_t row) {
    const std::ptrdiff_t first = row * shape[2];
    SampleRow<VComponents, VDimension>(shape,
                                       row / shape[1],
                                       row % shape[1],
                                       values,
                                       field + first * VDimension,
                                       factor ? factor + first : nullptr,
                                       outside,
                                       result + first * VComponents);
  });
}

/** The half of a Gaussian, its middle first, whose sum over both halves is 1. */
std::vector<float>
MakeGaussian(const double deviation)
{
  const auto          radius = static_cast<std::size_t>(3.0 * deviation + 0.5);
  std::vector<double> values(radius + 1);
  double              sum = 0.0;
  for (std::size_t i = 0; i <= radius; ++i)
  {
    const double distance = static_cast<double>(i) / deviation;
    values[i] = std::exp(-0.5 * distance * distance);
    sum += i == 0 ? values[i] : 2.0 * values[i];
  }
  std::vector<float> gaussian(values.size());
  std::transform(values.begin(), values.end(), gaussian.begin(), [sum](const double value) {
    return static_cast<float>(value / sum);
  });
  return gaussian;
}

/** The voxel that is at this place of an axis that its mirror images continue. */
std::ptrdiff_t
Mirrored(std::ptrdiff_t place, const std::ptrdiff_t size)
{
  place %= 2 * size;
  place += place < 0 ? 2 * size : 0;
  return place < size ? place : 2 * size - 1 - place;
}

/** result[i] = the filtered value of rows[k * step + i] for k = 0, where k counts along the filtered axis. */
CNNMETRIC_VECTORISED void
Filter(const float * const  rows,
       const std::ptrdiff_t step,
       const float * const  gaussian,
       const std::ptrdiff_t radius,
       const std::ptrdiff_t count,
       float * __restrict result)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    result[i] = gaussian[0] * rows[i];
  }
  for (std::ptrdiff_t k = 1; k <= radius; ++k)
  {
    const float * const before = rows - k * step;
    const float * const after = rows + k * step;
    const float         weight = gaussian[k];
    for (std::ptrdiff_t i = 0; i < count; ++i)
    {
      result[i] += weight * (before[i] + after[i]);
    }
  }
}

/** Filter along an axis of an array (outer, size, inner). */
void
SmoothAxis(const std::ptrdiff_t       outer,
           const std::ptrdiff_t       size,
           const std::ptrdiff_t       inner,
           const std::vector<float> & gaussian,
           const unsigned int         numberOfThreads,
           float * const              values)
{
  const auto           radius = static_cast<std::ptrdiff_t>(gaussian.size()) - 1;
  const std::ptrdiff_t chunks = (inner + Together - 1) / Together;
  ForEach(outer * chunks, numberOfThreads, [&](const std::ptrdiff_t number) {
    const std::ptrdiff_t first = number % chunks * Together;
    const std::ptrdiff_t width = std::min(Together, inner - first);
    float * const        part = values + number / chunks * size * inner + first;
    // A copy, continued at both ends; the results replace the values.
    std::vector<float> copy(static_cast<std::size_t>((size + 2 * radius) * width));
    for (std::ptrdiff_t k = -radius; k < size + radius; ++k)
    {
      std::copy_n(part + Mirrored(k, size) * inner, width, copy.data() + (k + radius) * width);
    }
    if (inner == width) // all of the axis is one row, of which voxels lie side by side
    {
      Filter(copy.data() + radius * width, width, gaussian.data(), radius, size * width, part);
      return;
    }
    for (std::ptrdiff_t k = 0; k < size; ++k)
    {
      Filter(copy.data() + (k + radius) * width, width, gaussian.data(), radius, width, part + k * inner);
    }
  });
}

} // namespace


void
VectorField::Sample(const Shape &       shape,
                    const unsigned int  components,
                    const unsigned int  dimension,
                    const float * const values,
                    const float * const field,
                    const float * const factor,
                    const Outside       outside,
                    const unsigned int  numberOfThreads,
                    float * const       result)
{
  using Function = void (*)(const Shape &, const float *, const float *, const float *, Outside, unsigned int, float *);
  constexpr Function functions[2][3] = { { SampleAll<1, 2>, SampleAll<2, 2>, SampleAll<3, 2> },
                                         { SampleAll<1, 3>, SampleAll<2, 3>, SampleAll<3, 3> } };
  functions[dimension - 2][components - 1](shape, values, field, factor, outside, numberOfThreads, result);
}


void
VectorField::Smooth(const Shape &      shape,
                    const unsigned int components,
                    const double       deviation,
                    const unsigned int numberOfThreads,
                    float * const      values)
{
  const std::vector<float> gaussian = MakeGaussian(deviation);
  std::ptrdiff_t           outer = 1;
  std::ptrdiff_t           inner = shape[0] * shape[1] * shape[2] * components;
  for (const std::ptrdiff_t size : shape)
  {
    inner /= size;
    if (size > 1)
    {
      SmoothAxis(outer, size, inner, gaussian, numberOfThreads, values);
    }
    outer *= size;
  }
}

} // namespace cnnmetric
