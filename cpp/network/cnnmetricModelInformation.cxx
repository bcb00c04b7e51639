// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricModelInformation.h"

#include "cnnmetricError.h"

namespace cnnmetric
{

unsigned int
ModelInformation::FindFixedChannel(const std::string & fixedModality) const
{
  for (unsigned int channel = 0; channel < 2; ++channel)
  {
    const bool named = fixedModality == modalities[channel] || modalities[channel] == AnyModality;
    if (named || (channel == 0 && fixedModality.empty()))
    {
      return channel;
    }
  }
  throw Error("CNNMetricFixedModality \"" + fixedModality + "\" is not a modality of model '" + path +
              "', which compares \"" + modalities[0] + "\" and \"" + modalities[1] +
              "\". Name the one that the fixed image is.");
}

} // namespace cnnmetric
