// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricModelInformation.h"

#include <algorithm>

namespace cnnmetric
{

namespace
{

/** Whether two texts are the same but for the case of their Latin letters, in every locale. */
bool
AreAlike(const std::string & first, const std::string & second)
{
  const auto lower = [](const char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  };
  return std::equal(first.begin(), first.end(), second.begin(), second.end(), [&](const char a, const char b) {
    return lower(a) == lower(b);
  });
}

} // namespace


std::optional<unsigned int>
ModelInformation::FindFixedChannel(const std::string & fixedModality) const
{
  for (unsigned int channel = 0; channel < 2; ++channel)
  {
    const bool isNamed = AreAlike(fixedModality, modalities[channel]) || modalities[channel] == AnyModality;
    if (isNamed || (channel == 0 && fixedModality.empty()))
    {
      return channel;
    }
  }
  return std::nullopt;
}

} // namespace cnnmetric
