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
  /** Bounds that no meaningful value reaches; beyond them, memory ends before the registration does. */
  static constexpr unsigned int LargestNumberOfBlocks = 10000;
  static constexpr unsigned int LargestNumberOfThreads = 1024;
  /** Voxels of a block: 256 per axis in 3D. A network holds some hundred floats for each of them. */
  static constexpr double LargestBlock = 256.0 * 256.0 * 256.0;

  /** Path of the .onnx file. */
  std::string modelPath{};
  /** Name of the fixed image's modality; empty for the model's first one. */
  std::string fixedModality{};
  /** If it is not set, the framework's own sampler decides. */
  std::optional<Sampling> sampling{};
  /** If it is not set, it comes from the framework's number of samples, if there is one. */
  std::optional<unsigned int> numberOfBlocks{};
  /** Edge of a random block, or of a tile in Full mode, in voxels. If it is not set, it is the size nearest to
   * DefaultBlockSize that fits the model. */
  std::optional<unsigned int> blockSize{};
  /** Distance of the voxels of the evaluation grid in mm; 0 for the model's own spacing times gridFactor. */
  double gridSpacing{ 0.0 };
  /** Downsampling factor of the resolution level. */
  double gridFactor{ 1.0 };
  /** "auto", "cpu" or "cuda:N". */
  std::string device{ "auto" };
  /** 0 for as many as the framework uses. */
  unsigned int numberOfThreads{ 0 };
};

} // namespace cnnmetric

#endif
