// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricSettings_h
#define cnnmetricSettings_h

#include <optional>
#include <string>

namespace cnnmetric
{

/** Which patches an evaluation uses. */
enum class Sampling
{
  /** All of them. */
  Full,
  /** Those of some random blocks. */
  Blocks
};


/** Everything that a user can say about the metric in one resolution. */
struct Settings
{
  static constexpr unsigned int DefaultNumberOfBlocks = 8;
  static constexpr unsigned int DefaultBlockSize = 33;

  /** Path of the .onnx file. */
  std::string modelPath{};
  /** Name of the fixed image's modality; empty: the model's first one. */
  std::string fixedModality{};
  /** Not set: the framework's own sampler decides. */
  std::optional<Sampling> sampling{};
  /** Not set: from the framework's number of samples, if there is one. */
  std::optional<unsigned int> numberOfBlocks{};
  /** Edge in voxels; of a random block, or of a tile in Full mode. Not set: the model's nearest to the default. */
  std::optional<unsigned int> blockSize{};
  /** Distance of the voxels of the evaluation grid in mm; 0: the model's own spacing times gridFactor. */
  double gridSpacing{ 0.0 };
  /** Downsampling factor of the resolution level. */
  double      gridFactor{ 1.0 };
  std::string device{ "auto" };
  /** 0: as many as the framework was told to use. */
  unsigned int numberOfThreads{ 0 };
};

} // namespace cnnmetric

#endif
