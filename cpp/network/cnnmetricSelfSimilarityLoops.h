// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricSelfSimilarityLoops_h
#define cnnmetricSelfSimilarityLoops_h

#include <cstddef>

/** The loops of SelfSimilarity over rows and planes, in vectors. */
namespace cnnmetric::loops
{

/** Rows of voxels, and the boxes that average over them along y and x. */
struct BoxesOfPlane
{
  std::ptrdiff_t rowLength{}; // of voxels in memory
  std::ptrdiff_t boxY{};
  std::ptrdiff_t boxX{};
  std::ptrdiff_t strideY{};
  std::ptrdiff_t strideX{};
  std::ptrdiff_t rows{}; // of boxes
  std::ptrdiff_t columns{};
};

/** sums[i] += (first[i] - second[i])^2 */
void
AddSquares(const float * first, const float * second, std::ptrdiff_t count, float * sums);

/** result = share * the sums of voxels over boxes
 * \param sums room for a row of voxels */
void
SumOverBoxes(BoxesOfPlane boxes, const float * voxels, float share, float * sums, float * result);

/** voxels += the values of all boxes that a voxel is in: the transpose of SumOverBoxes
 * \param sums room for a row of voxels */
void
SpreadOverBoxes(BoxesOfPlane boxes, const float * values, float * sums, float * voxels);

/** product[i] = weights[i] * (first[i] - second[i]) */
void
WeightedDifference(const float *  weights,
                   const float *  first,
                   const float *  second,
                   std::ptrdiff_t count,
                   float *        product);

/** sums[i] += factor * values[i] */
void
Add(const float * values, float factor, std::ptrdiff_t count, float * sums);

/** The mean over channels, plus the noise floor. */
void
MeanOfChannels(const float *  distances,
               std::size_t    channels,
               std::ptrdiff_t step,
               float          noiseFloor,
               std::ptrdiff_t count,
               float *        mean);

/** row[i] = exp(-row[i] / mean[i]) */
void
Similarity(const float * mean, std::ptrdiff_t count, float * row);

void
Strength(const float * mean, float strong, std::ptrdiff_t count, float * row);

/** From distances d and cotangents g of y = exp(-d / m): row = -g y / m, and share += g y d / m^2, the gradients by d
 * alone and by m. */
void
SimilarityGradient(const float * mean, const float * cotangent, std::ptrdiff_t count, float * row, float * share);

/** share[i] += g / (2 s sqrt(m)), the gradient of the strength by m */
void
StrengthGradient(const float * mean, const float * cotangent, float strong, std::ptrdiff_t count, float * share);

} // namespace cnnmetric::loops

#endif
