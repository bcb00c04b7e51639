// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricSelfSimilarity_h
#define cnnmetricSelfSimilarity_h

#include "cnnmetricSelfSimilarityLoops.h"

#include <array>
#include <cstddef>
#include <functional>
#include <vector>

namespace cnnmetric
{

/** \class SelfSimilarity
 * \brief The fixed layers of the self-similarity networks, and their exact gradient, in one pass over the image.
 *
 * A channel compares two voxels of a window: d = the mean over a box of (I(x + a) - I(x + b))^2. Channels come in
 * groups; y = exp(-d / (m + f)), where m is the mean of d over the channels of the group and f the noise floor. One more
 * channel may say how strong the first group is: sqrt(m + f) / s. The same is written with operators of PyTorch in
 * python/cnnmetric/training/networks/similarities.py, and with operators of ONNX in every model file.
 *
 * All arrays have axes z, y, x; an image of two dimensions is one of which z has one voxel.
 */
class SelfSimilarity
{
public:
  using Place = std::array<std::ptrdiff_t, 3>;

  /** Run `work(i)` for every i below the number of pieces, in any order, on several threads or one. */
  using Parallel = std::function<void(std::size_t numberOfPieces, const std::function<void(std::size_t)> & work)>;

  struct Settings
  {
    unsigned int dimension{ 3 };
    /** Edge of the window. */
    std::ptrdiff_t window{};
    /** The two voxels of every channel, as places in the window. */
    std::vector<std::array<Place, 2>> taps{};
    /** Number of channels of every group; together, all. */
    std::vector<std::size_t> groups{};
    std::ptrdiff_t           box{};
    std::ptrdiff_t           stride{};
    float                    noiseFloor{};
    bool                     hasStrength{};
    float                    strong{};
  };

  /** Throws Error if the settings do not fit together. */
  explicit SelfSimilarity(const Settings & settings);

  unsigned int
  GetDimension() const
  {
    return m_Settings.dimension;
  }

  /** Channels of the result. */
  std::size_t
  GetNumberOfChannels() const
  {
    return NumberOfPairs() + (m_Settings.hasStrength ? 1 : 0);
  }

  /** Shape of the result for an image of this shape. Throws Error if the image is smaller than window and box. */
  Place
  GetShapeOfResult(const Place & shapeOfImage) const;

  /** \param[out] result of GetNumberOfChannels() times the shape of the result */
  void
  Forward(const Place & shapeOfImage, const float * image, float * result, const Parallel & parallel) const;

  /** \param cotangent the gradient of something by the result
   * \param[out] gradient the gradient of the same by the image */
  void
  Backward(const Place &    shapeOfImage,
           const float *    image,
           const float *    cotangent,
           float *          gradient,
           const Parallel & parallel) const;

private:
  std::size_t
  NumberOfPairs() const
  {
    return m_Settings.taps.size();
  }

  /** d of every pair in plane z of the result.
   * \param step from one channel of the result to the next */
  void
  MeanSquares(const Place & shapeOfImage, const float * image, std::ptrdiff_t z, std::ptrdiff_t step, float * result)
    const;

  /** The gradient by d in some planes of the result, from the one by y: (pairs, count, y, x). */
  std::vector<float>
  GradientByMeanSquares(const Place &  shapeOfImage,
                        const float *  image,
                        const float *  cotangent,
                        std::ptrdiff_t first,
                        std::ptrdiff_t count) const;

  /** Add the gradient by the image that comes from these planes. */
  void
  AddGradientOfSquares(const Place &              shapeOfImage,
                       const float *              image,
                       const std::vector<float> & byMeanSquares,
                       std::ptrdiff_t             first,
                       std::ptrdiff_t             count,
                       float *                    gradient) const;

  loops::BoxesOfPlane
  GetBoxesOfPlane(const Place & shapeOfImage) const;

  Settings m_Settings{};
  /** Window, box and stride along z, y, x; 1 along z in two dimensions. */
  Place m_Window{};
  Place m_Box{};
  Place m_Stride{};
};

} // namespace cnnmetric

#endif
