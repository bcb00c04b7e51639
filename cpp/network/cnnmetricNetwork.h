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
 * \brief A trained network N(P_f, P_m) with its input gradient, evaluated fully convolutionally on blocks.
 *
 * ONNX Runtime stays behind this handle: no header of it is visible outside of cpp/network.
 * `Evaluate` may be called from several threads at once.
 */
class Network
{
public:
  using Gradients = std::array<std::vector<float> *, 2>;

  /** Tell where the ONNX Runtime shared library of the installed wheel is. Called once, at import.
   * Throws Error when the library cannot be loaded or is too old. */
  static void
  UseRuntimeLibrary(const std::string & path);

  /** Version of the loaded ONNX Runtime, for example "1.23.2". */
  static std::string
  GetRuntimeVersion();

  /** Load and check a model file.
   * \param path an .onnx file with the metadata of docs/model-format.md
   * \param device "auto", "cpu" or "cuda:N"
   * \param threadsPerCall threads that one call of Evaluate may use
   * Throws ModelError for an unusable file and Error for a device that is not there. */
  Network(const std::string & path, const std::string & device, unsigned int threadsPerCall);
  ~Network();

  Network(const Network &) = delete;
  Network &
  operator=(const Network &) = delete;

  const ModelInformation &
  GetInformation() const;

  /** The device in use and, for "auto", why; one line for the log. */
  const std::string &
  GetDeviceReport() const;

  /** Evaluate one block (docs/model-format.md, "Graph").
   * \param blockShape voxels per axis in memory order (slowest axis first); each p + k s
   * \param patches 2 x block: first modality, second modality, normalised
   * \param weights one weight per patch
   * \param[out] dissimilarity N(P) per patch
   * \param[out] gradients for each modality nullptr, or block: d(sum_P w_P N(P)) / d patches of that modality. What is not
   *             asked for is not computed. */
  void
  Evaluate(const std::vector<std::int64_t> & blockShape,
           const std::vector<float> &        patches,
           const std::vector<float> &        weights,
           std::vector<float> &              dissimilarity,
           const Gradients &                 gradients = {}) const;

private:
  struct Implementation;
  std::unique_ptr<Implementation> m_Implementation;
};

} // namespace cnnmetric

#endif
