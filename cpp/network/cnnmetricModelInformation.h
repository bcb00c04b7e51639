// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricModelInformation_h
#define cnnmetricModelInformation_h

#include <array>
#include <optional>
#include <string>

namespace cnnmetric
{

/** \class ModelInformation
 * \brief The metadata of a model file (docs/reference/model-format.md).
 */
struct ModelInformation
{
  /** The newest format this build can read. */
  static constexpr unsigned int SupportedFormatVersion = 1;

  /** The name that stands for every modality. */
  static constexpr const char * AnyModality = "any";

  std::string  path{};
  unsigned int dimension{};
  /** Edge of a patch in voxels: p of Section 2.2 of the paper. */
  unsigned int receptiveField{};
  /** Distance between neighbouring patches in voxels: s of Section 2.2. */
  unsigned int stride{};
  /** Voxel size that the network is trained for, in mm. */
  double spacing{};
  /** Names of channel 0 and channel 1; AnyModality takes every image. */
  std::array<std::string, 2> modalities{};
  double                     lowerQuantile{};
  double                     upperQuantile{};
  /** Channels of the descriptors whose negative product the dissimilarity is; 0 if the model has none. */
  unsigned int descriptorChannels{};

  /** The channel of the fixed image, 0 or 1; the moving image is the other one. The first channel that fits is taken.
   * \param fixedModality name of the fixed image's modality, in letters of any case; empty for the first channel
   * \return nothing if the model does not compare this modality */
  std::optional<unsigned int>
  FindFixedChannel(const std::string & fixedModality) const;
};

} // namespace cnnmetric

#endif
