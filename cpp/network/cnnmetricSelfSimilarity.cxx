// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricSelfSimilarity.h"

#include "cnnmetricError.h"
#include "cnnmetricSelfSimilarityLoops.h"

#include <algorithm>
#include <numeric>

namespace cnnmetric
{

namespace
{

using namespace loops;

using Place = SelfSimilarity::Place;

/** Planes of the image whose gradients are added by one piece of work. Neighbouring pieces write to a few planes in
 * common, so that every second one runs at a time. */
constexpr std::ptrdiff_t PlanesPerPiece = 8;

/** Of window, box and stride, so that nothing that is computed from them is beyond what a number holds. */
constexpr std::ptrdiff_t LargestEdge = 1000;

std::ptrdiff_t
Volume(const Place & shape)
{
  return shape[0] * shape[1] * shape[2];
}

/** From the first to the last voxel of all boxes of a plane. */
std::ptrdiff_t
LengthOfPlane(const BoxesOfPlane & boxes)
{
  return ((boxes.rows - 1) * boxes.strideY + boxes.boxY - 1) * boxes.rowLength + (boxes.columns - 1) * boxes.strideX +
         boxes.boxX;
}

std::ptrdiff_t
Offset(const Place & shape, const Place & place)
{
  return (place[0] * shape[1] + place[1]) * shape[2] + place[2];
}

} // namespace


SelfSimilarity::SelfSimilarity(const Settings & settings)
  : m_Settings(settings)
{
  const std::array<std::ptrdiff_t, 3> edges{ settings.window, settings.box, settings.stride };
  const std::size_t inGroups = std::accumulate(settings.groups.begin(), settings.groups.end(), std::size_t{ 0 });
  // Single groups are looked at as well, because the sum of large ones may begin anew at zero.
  const bool areGroups = std::all_of(settings.groups.begin(), settings.groups.end(), [&settings](const auto n) {
    return n > 0 && n <= settings.taps.size();
  });
  const bool areEdges = std::all_of(edges.begin(), edges.end(), [](const auto n) { return n > 0 && n <= LargestEdge; });
  const bool isInside = std::all_of(settings.taps.begin(), settings.taps.end(), [&settings](const auto & taps) {
    return std::all_of(taps.begin(), taps.end(), [&settings](const Place & place) {
      return std::all_of(
        place.begin(), place.end(), [&settings](const auto n) { return n >= 0 && n < settings.window; });
    });
  });
  if (settings.taps.empty() || inGroups != settings.taps.size() || !areGroups || !isInside || !areEdges ||
      !(settings.noiseFloor > 0.0f) || !(settings.strong > 0.0f))
  {
    throw Error("the numbers of its self-similarities do not fit together");
  }
  const std::ptrdiff_t alongZ = settings.dimension == 3 ? 1 : 0;
  m_Window = { alongZ ? settings.window : 1, settings.window, settings.window };
  m_Box = { alongZ ? settings.box : 1, settings.box, settings.box };
  m_Stride = { alongZ ? settings.stride : 1, settings.stride, settings.stride };
}


auto
SelfSimilarity::GetShapeOfResult(const Place & shapeOfImage) const -> Place
{
  Place result{};
  for (std::size_t d = 0; d < result.size(); ++d)
  {
    const std::ptrdiff_t room = shapeOfImage[d] - (m_Window[d] - 1) - m_Box[d];
    if (room < 0)
    {
      throw Error("an image is smaller than the window of its self-similarities");
    }
    result[d] = room / m_Stride[d] + 1;
  }
  return result;
}


void
SelfSimilarity::Forward(const Place &    shapeOfImage,
                        const float *    image,
                        float *          result,
                        const Parallel & parallel) const
{
  const Place          shape = GetShapeOfResult(shapeOfImage);
  const std::ptrdiff_t plane = shape[1] * shape[2];
  const std::ptrdiff_t step = Volume(shape);
  parallel(static_cast<std::size_t>(shape[0]), [&](const std::size_t number) {
    const auto         z = static_cast<std::ptrdiff_t>(number);
    float *            channel = result + z * plane;
    std::vector<float> mean(static_cast<std::size_t>(plane));
    MeanSquares(shapeOfImage, image, z, step, channel);
    for (std::size_t group = 0; group < m_Settings.groups.size(); ++group)
    {
      const std::size_t channels = m_Settings.groups[group];
      MeanOfChannels(channel, channels, step, m_Settings.noiseFloor, plane, mean.data());
      if (group == 0 && m_Settings.hasStrength)
      {
        Strength(mean.data(), m_Settings.strong, plane, result + z * plane + NumberOfPairs() * step);
      }
      for (std::size_t i = 0; i < channels; ++i, channel += step)
      {
        Similarity(mean.data(), plane, channel);
      }
    }
  });
}


void
SelfSimilarity::Backward(const Place &    shapeOfImage,
                         const float *    image,
                         const float *    cotangent,
                         float *          gradient,
                         const Parallel & parallel) const
{
  std::fill_n(gradient, Volume(shapeOfImage), 0.0f);
  const std::ptrdiff_t planes = GetShapeOfResult(shapeOfImage)[0];
  // A piece writes to as many planes beyond its own as the next one is thick at most.
  const std::ptrdiff_t beyond = (m_Box[0] + m_Window[0] - 2) / m_Stride[0] + 1;
  const std::ptrdiff_t perPiece = std::max(PlanesPerPiece, beyond);
  const std::ptrdiff_t pieces = (planes + perPiece - 1) / perPiece;
  for (const std::ptrdiff_t parity : { 0, 1 })
  {
    parallel(static_cast<std::size_t>((pieces + 1 - parity) / 2), [&](const std::size_t number) {
      const std::ptrdiff_t first = (2 * static_cast<std::ptrdiff_t>(number) + parity) * perPiece;
      const std::ptrdiff_t count = std::min(perPiece, planes - first);
      const auto           weights = GradientByMeanSquares(shapeOfImage, image, cotangent, first, count);
      AddGradientOfSquares(shapeOfImage, image, weights, first, count, gradient);
    });
  }
}


void
SelfSimilarity::MeanSquares(const Place &        shapeOfImage,
                            const float * const  image,
                            const std::ptrdiff_t z,
                            const std::ptrdiff_t step,
                            float *              result) const
{
  const BoxesOfPlane boxes = GetBoxesOfPlane(shapeOfImage);
  // All rows of a plane lie one after the other, so they are one long row; what lies between them is not used.
  const std::ptrdiff_t length = LengthOfPlane(boxes);
  const float          share = 1.0f / static_cast<float>(Volume(m_Box));
  std::vector<float>   squares(static_cast<std::size_t>(length));
  std::vector<float>   sums(static_cast<std::size_t>(boxes.rowLength));
  for (const auto & [first, second] : m_Settings.taps)
  {
    std::fill(squares.begin(), squares.end(), 0.0f);
    for (std::ptrdiff_t k = 0; k < m_Box[0]; ++k)
    {
      const float * const plane = image + Offset(shapeOfImage, { z * m_Stride[0] + k, 0, 0 });
      AddSquares(plane + Offset(shapeOfImage, first), plane + Offset(shapeOfImage, second), length, squares.data());
    }
    SumOverBoxes(boxes, squares.data(), share, sums.data(), result);
    result += step;
  }
}


std::vector<float>
SelfSimilarity::GradientByMeanSquares(const Place &        shapeOfImage,
                                      const float * const  image,
                                      const float *        cotangent,
                                      const std::ptrdiff_t first,
                                      const std::ptrdiff_t count) const
{
  const Place          shape = GetShapeOfResult(shapeOfImage);
  const std::ptrdiff_t plane = shape[1] * shape[2];
  const std::ptrdiff_t step = count * plane;
  std::vector<float>   rows(NumberOfPairs() * static_cast<std::size_t>(step));
  std::vector<float>   mean(static_cast<std::size_t>(plane));
  std::vector<float>   byMean(static_cast<std::size_t>(plane));
  for (std::ptrdiff_t z = 0; z < count; ++z)
  {
    float *       channel = rows.data() + z * plane;
    const float * of = cotangent + (first + z) * plane;
    MeanSquares(shapeOfImage, image, first + z, step, channel);
    for (std::size_t group = 0; group < m_Settings.groups.size(); ++group)
    {
      const std::size_t channels = m_Settings.groups[group];
      MeanOfChannels(channel, channels, step, m_Settings.noiseFloor, plane, mean.data());
      std::fill(byMean.begin(), byMean.end(), 0.0f);
      if (group == 0 && m_Settings.hasStrength)
      {
        const float * const ofStrength = of + NumberOfPairs() * Volume(shape);
        StrengthGradient(mean.data(), ofStrength, m_Settings.strong, plane, byMean.data());
      }
      for (std::size_t i = 0; i < channels; ++i)
      {
        SimilarityGradient(mean.data(), of + i * Volume(shape), plane, channel + i * step, byMean.data());
      }
      // Every channel of the group has this share in the mean.
      const float share = 1.0f / static_cast<float>(channels);
      for (std::size_t i = 0; i < channels; ++i)
      {
        Add(byMean.data(), share, plane, channel + i * step);
      }
      channel += channels * step;
      of += channels * Volume(shape);
    }
  }
  return rows;
}


void
SelfSimilarity::AddGradientOfSquares(const Place &              shapeOfImage,
                                     const float * const        image,
                                     const std::vector<float> & byMeanSquares,
                                     const std::ptrdiff_t       first,
                                     const std::ptrdiff_t       count,
                                     float * const              gradient) const
{
  const BoxesOfPlane   boxes = GetBoxesOfPlane(shapeOfImage);
  const std::ptrdiff_t plane = boxes.rows * boxes.columns;
  const std::ptrdiff_t length = LengthOfPlane(boxes);
  const float          factor = 2.0f / static_cast<float>(Volume(m_Box));
  std::vector<float>   weights(static_cast<std::size_t>(length));
  std::vector<float>   product(static_cast<std::size_t>(length));
  std::vector<float>   ofBoxes(static_cast<std::size_t>(plane));
  std::vector<float>   sums(static_cast<std::size_t>(boxes.rowLength));
  for (std::ptrdiff_t z = 0; z < (count - 1) * m_Stride[0] + m_Box[0]; ++z)
  {
    // The planes of boxes that hold this plane of voxels.
    const std::ptrdiff_t before = std::max<std::ptrdiff_t>(z - m_Box[0] + m_Stride[0], 0) / m_Stride[0];
    const std::ptrdiff_t last = std::min(z / m_Stride[0], count - 1);
    const std::ptrdiff_t corner = Offset(shapeOfImage, { first * m_Stride[0] + z, 0, 0 });
    const float *        rows = byMeanSquares.data();
    for (const auto & taps : m_Settings.taps)
    {
      std::fill(ofBoxes.begin(), ofBoxes.end(), 0.0f);
      for (std::ptrdiff_t of = before; of <= last; ++of)
      {
        Add(rows + of * plane, factor, plane, ofBoxes.data());
      }
      // Zero between the rows of the plane, which therefore are one long row here as well.
      std::fill(weights.begin(), weights.end(), 0.0f);
      SpreadOverBoxes(boxes, ofBoxes.data(), sums.data(), weights.data());
      const std::ptrdiff_t a = corner + Offset(shapeOfImage, taps[0]);
      const std::ptrdiff_t b = corner + Offset(shapeOfImage, taps[1]);
      WeightedDifference(weights.data(), image + a, image + b, length, product.data());
      Add(product.data(), 1.0f, length, gradient + a);
      Add(product.data(), -1.0f, length, gradient + b);
      rows += count * plane;
    }
  }
}


loops::BoxesOfPlane
SelfSimilarity::GetBoxesOfPlane(const Place & shapeOfImage) const
{
  const Place shape = GetShapeOfResult(shapeOfImage);
  return { shapeOfImage[2], m_Box[1], m_Box[2], m_Stride[1], m_Stride[2], shape[1], shape[2] };
}

} // namespace cnnmetric
