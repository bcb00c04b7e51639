// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricSelfSimilarityLoops.h"

#include "vectorised.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace cnnmetric::loops
{

namespace
{

/** exp(x) for x <= 0, to 2e-7 of its value, by operations that a compiler turns into vectors. */
CNNMETRIC_INLINE float
ExpOfNegative(float x)
{
  x = std::max(x, -87.0f);
  const float rounder = 12582912.0f; // 1.5 * 2^23: adding it leaves no room for a fraction
  const float shifted = x * 1.44269504f + rounder;
  const float power = shifted - rounder;
  const float rest = (x - power * 0.693359375f) + power * 2.12194440e-4f;
  // The Taylor series, |rest| <= log(2) / 2.
  float series = 1.0f / 5040.0f;
  series = series * rest + 1.0f / 720.0f;
  series = series * rest + 1.0f / 120.0f;
  series = series * rest + 1.0f / 24.0f;
  series = series * rest + 1.0f / 6.0f;
  series = series * rest + 0.5f;
  series = series * rest + 1.0f;
  series = series * rest + 1.0f;
  std::uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  // The low bits of `shifted` are the power of two; the others go over the top.
  const std::uint32_t exponent = (bits + 127u) << 23;
  float               scale;
  std::memcpy(&scale, &exponent, sizeof(scale));
  return series * scale;
}

} // namespace


CNNMETRIC_VECTORISED void
AddSquares(const float * const first, const float * const second, const std::ptrdiff_t count, float * __restrict sums)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    const float difference = first[i] - second[i];
    sums[i] += difference * difference;
  }
}

CNNMETRIC_VECTORISED void
SumOverBoxes(const BoxesOfPlane  boxes,
             const float * const voxels,
             const float         share,
             float * __restrict sums,
             float * __restrict result)
{
  for (std::ptrdiff_t y = 0; y < boxes.rows; ++y, result += boxes.columns)
  {
    const float * row = voxels + y * boxes.strideY * boxes.rowLength;
    const auto    width = (boxes.columns - 1) * boxes.strideX + boxes.boxX;
    for (std::ptrdiff_t i = 0; i < width; ++i)
    {
      sums[i] = share * row[i];
    }
    for (std::ptrdiff_t k = 1; k < boxes.boxY; ++k)
    {
      row += boxes.rowLength;
      for (std::ptrdiff_t i = 0; i < width; ++i)
      {
        sums[i] += share * row[i];
      }
    }
    if (boxes.boxX == 3 && boxes.strideX == 2) // what all networks have
    {
      for (std::ptrdiff_t i = 0; i < boxes.columns; ++i)
      {
        result[i] = sums[2 * i] + sums[2 * i + 1] + sums[2 * i + 2];
      }
      continue;
    }
    for (std::ptrdiff_t i = 0; i < boxes.columns; ++i)
    {
      result[i] = 0.0f;
      for (std::ptrdiff_t k = 0; k < boxes.boxX; ++k)
      {
        result[i] += sums[i * boxes.strideX + k];
      }
    }
  }
}

CNNMETRIC_VECTORISED void
SpreadOverBoxes(const BoxesOfPlane boxes, const float * values, float * __restrict sums, float * __restrict voxels)
{
  for (std::ptrdiff_t y = 0; y < boxes.rows; ++y, values += boxes.columns)
  {
    const auto width = (boxes.columns - 1) * boxes.strideX + boxes.boxX;
    const auto last = boxes.columns - 1;
    if (boxes.boxX == 3 && boxes.strideX == 2)
    {
      sums[0] = values[0];
      for (std::ptrdiff_t i = 0; i < last; ++i)
      {
        sums[2 * i + 1] = values[i];
        sums[2 * i + 2] = values[i] + values[i + 1];
      }
      sums[2 * last + 1] = values[last];
      sums[2 * last + 2] = values[last];
    }
    else
    {
      std::fill_n(sums, width, 0.0f);
      for (std::ptrdiff_t i = 0; i <= last; ++i)
      {
        for (std::ptrdiff_t k = 0; k < boxes.boxX; ++k)
        {
          sums[i * boxes.strideX + k] += values[i];
        }
      }
    }
    for (std::ptrdiff_t k = 0; k < boxes.boxY; ++k)
    {
      float * const row = voxels + (y * boxes.strideY + k) * boxes.rowLength;
      for (std::ptrdiff_t i = 0; i < width; ++i)
      {
        row[i] += sums[i];
      }
    }
  }
}

CNNMETRIC_VECTORISED void
WeightedDifference(const float * const  weights,
                   const float * const  first,
                   const float * const  second,
                   const std::ptrdiff_t count,
                   float * __restrict product)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    product[i] = weights[i] * (first[i] - second[i]);
  }
}

CNNMETRIC_VECTORISED void
Add(const float * const values, const float factor, const std::ptrdiff_t count, float * __restrict sums)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    sums[i] += factor * values[i];
  }
}

CNNMETRIC_VECTORISED void
MeanOfChannels(const float * const  distances,
               const std::size_t    channels,
               const std::ptrdiff_t step,
               const float          noiseFloor,
               const std::ptrdiff_t count,
               float * __restrict mean)
{
  std::fill_n(mean, count, 0.0f);
  for (std::size_t channel = 0; channel < channels; ++channel)
  {
    const float * const row = distances + static_cast<std::ptrdiff_t>(channel) * step;
    for (std::ptrdiff_t i = 0; i < count; ++i)
    {
      mean[i] += row[i];
    }
  }
  const float share = 1.0f / static_cast<float>(channels);
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    mean[i] = mean[i] * share + noiseFloor;
  }
}

CNNMETRIC_VECTORISED void
Similarity(const float * const mean, const std::ptrdiff_t count, float * __restrict row)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    row[i] = ExpOfNegative(-row[i] / mean[i]);
  }
}

CNNMETRIC_VECTORISED void
Strength(const float * const mean, const float strong, const std::ptrdiff_t count, float * __restrict row)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    row[i] = std::sqrt(mean[i]) / strong;
  }
}

CNNMETRIC_VECTORISED void
SimilarityGradient(const float * const  mean,
                   const float * const  cotangent,
                   const std::ptrdiff_t count,
                   float * __restrict row,
                   float * __restrict share)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    const float inverse = 1.0f / mean[i];
    const float ratio = row[i] * inverse;
    const float product = cotangent[i] * ExpOfNegative(-ratio) * inverse;
    share[i] += product * ratio;
    row[i] = -product;
  }
}

CNNMETRIC_VECTORISED void
StrengthGradient(const float * const  mean,
                 const float * const  cotangent,
                 const float          strong,
                 const std::ptrdiff_t count,
                 float * __restrict share)
{
  for (std::ptrdiff_t i = 0; i < count; ++i)
  {
    share[i] += 0.5f * cotangent[i] / (strong * std::sqrt(mean[i]));
  }
}

} // namespace cnnmetric::loops
