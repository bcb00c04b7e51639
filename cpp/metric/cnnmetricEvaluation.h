// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricEvaluation_h
#define cnnmetricEvaluation_h

#include "cnnmetricError.h"
#include "cnnmetricProfile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace cnnmetric
{

/** The result of one evaluation of the metric. */
struct Evaluation
{
  /** M: weighted mean dissimilarity of the patches. */
  double value{};
  /** Sum of the weights of the patches. */
  double weight{};
  /** Patches of the evaluated blocks whose centre is inside the fixed mask. */
  std::size_t numberOfFixedPatches{};
  /** Those of them whose centre maps into the moving image's buffer. */
  std::size_t numberOfPatchesInBuffer{};
  /** Those of them whose centre also maps into the moving mask. */
  std::size_t numberOfValidPatches{};
  /** Where the time went. */
  Profile profile{};
};

/** Dissimilarity and derivative place by place (Figure 1 of the paper). */
struct Maps
{
  /** N(P) for every patch of the grid, in memory order; NaN where the patch does not count. */
  std::vector<float> dissimilarity{};
  /** dM/dI'_m(x) for every voxel of the grid, in memory order, per unit of the moving image's intensity. */
  std::vector<float> derivative{};
};

/** Throw Error if the value, the derivative (nullptr if there is none) or a map is NaN or infinite. The map of the
 * dissimilarity is left out: it has NaN on purpose, and the network checks what goes into it. */
inline void
CheckFinite(const Evaluation &   evaluation,
            const double * const derivative,
            const std::size_t    numberOfParameters,
            const Maps * const   maps,
            const std::string &  model)
{
  const auto areFinite = [](const auto first, const auto last) {
    return std::all_of(first, last, [](const auto number) { return std::isfinite(number); });
  };
  const bool isFinite = std::isfinite(evaluation.value) &&
                        (!derivative || areFinite(derivative, derivative + numberOfParameters)) &&
                        (!maps || areFinite(maps->derivative.begin(), maps->derivative.end()));
  if (!isFinite)
  {
    throw Error("The metric's value or derivative is NaN or infinite, while the results of model '" + model +
                "' are not. Check the parameters of the transform, and bring the intensities of the images into an "
                "ordinary range.");
  }
}

} // namespace cnnmetric

#endif
