// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricModelInformation_h
#define cnnmetricModelInformation_h

#include <array>
#include <string>

namespace cnnmetric
{

/** \class ModelInformation
 * \brief What a model file says about itself (docs/model-format.md); read once, never configured twice.
 */
struct ModelInformation
{
  /** The newest format this build can read. */
  static constexpr unsigned int SupportedFormatVersion = 1;

  /** The name of a modality that stands for every one. */
  static constexpr const char * AnyModality = "any";

  std::string  path{};
  unsigned int dimension{};
  /** Edge of the patch the network sees, in voxels: p of Section 2.2 of the paper. */
  unsigned int receptiveField{};
  /** Distance between neighbouring patches in voxels: s of Section 2.2. */
  unsigned int stride{};
  /** Voxel size at which the network was trained, in mm. */
  double spacing{};
  /** Names of channel 0 and channel 1; AnyModality takes every image. */
  std::array<std::string, 2> modalities{};
  double                     lowerQuantile{};
  double                     upperQuantile{};
};

} // namespace cnnmetric

#endif
