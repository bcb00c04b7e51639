// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricNetwork_h
#define cnnmetricNetwork_h

#include "cnnmetricModelInformation.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cnnmetric
{

/** \class Network
 * \brief A trained network N(P_f, P_m) with its input gradient, evaluated for all patches of a block in one run.
 *
 * This class hides ONNX Runtime, whose header is included in cpp/network alone. Several threads may call `Evaluate` at
 * once.
 */
class Network
{
public:
  using Gradients = std::array<std::vector<float> *, 2>;

  /** Descriptors of a block of an image that stays the same, for the evaluations that follow the first. */
  using KeptDescriptors = std::shared_ptr<const std::vector<float>>;

  /** Load the shared library of ONNX Runtime. Called once, at import, with the path in the installed wheel.
   * Throws Error if the library cannot be loaded or is too old. */
  static void
  UseRuntimeLibrary(const std::string & path);

  /** Version of the loaded ONNX Runtime, for example "1.23.2". */
  static std::string
  GetRuntimeVersion();

  /** Load and check a model file.
   * \param path an .onnx file with the metadata of docs/reference/model-format.md
   * \param device "auto", "cpu" or "cuda:N"
   * \param threadsPerCall number of threads that one call of Evaluate uses
   *
   * Throws ModelError if the file cannot be used, and Error if the device cannot be used. */
  Network(const std::string & path, const std::string & device, unsigned int threadsPerCall);
  ~Network();

  Network(const Network &) = delete;
  Network &
  operator=(const Network &) = delete;

  const ModelInformation &
  GetInformation() const;

  /** The channel of the fixed image, see ModelInformation::FindFixedChannel. For a model that is symmetric, a modality
   * that it does not know is channel 0, because that changes nothing.
   * \param[out] warning what the user should know; empty if there is nothing
   *
   * Throws Error if a model that is not symmetric does not compare this modality. */
  unsigned int
  FindFixedChannel(const std::string & fixedModality, std::string & warning) const;

  /** Whether the dissimilarity stays the same if the two images change places, tried on a patch of noise. */
  bool
  IsSymmetric() const;

  /** The device in use and, for "auto", the reason; for the log. */
  const std::string &
  GetDeviceReport() const;

  /** Evaluate one block (docs/reference/model-format.md, "Graph"). Throws Error if ONNX Runtime fails, or if a result is
   * NaN or infinite.
   * \param blockShape voxels per axis in memory order (slowest axis first); each is p + k s
   * \param patches normalised intensities of the first, then of the second modality; each of the shape of the block
   * \param weights one weight per patch
   * \param[out] dissimilarity N(P) per patch
   * \param[out] gradients for each modality d(sum_P w_P N(P)) / d intensity, of the shape of the block; nullptr for one
   *             that is not wanted, which is then not computed
   * \param kept of the image whose gradient is not wanted, while the other one's is: if it holds nothing, its
   *             descriptors are put there; else taken from there, which saves their computation. nullptr, and for
   *             models without descriptors or with more than four numbers a voxel: both images are described */
  void
  Evaluate(const std::vector<std::int64_t> & blockShape,
           const std::vector<float> &        patches,
           const std::vector<float> &        weights,
           std::vector<float> &              dissimilarity,
           const Gradients &                 gradients,
           KeptDescriptors *                 kept = nullptr) const;

  /** Descriptors of one block of each image, of a model that has them: N(P) is minus their product. Throws as Evaluate.
   * \param blockShape, patches as for Evaluate
   * \param[out] descriptors of the first and of the second modality, for each channel one number per patch */
  void
  Describe(const std::vector<std::int64_t> &   blockShape,
           const std::vector<float> &          patches,
           std::array<std::vector<float>, 2> & descriptors) const;

private:
  /** Evaluate one patch and two along each axis; throws ModelError if the metadata say something else of them. */
  void
  CheckSizes() const;

  struct Implementation;
  std::unique_ptr<Implementation> m_Implementation;
};

} // namespace cnnmetric

#endif
