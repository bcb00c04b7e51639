// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricIntensityNormalisation_h
#define cnnmetricIntensityNormalisation_h

#include "cnnmetricError.h"
#include "cnnmetricText.h"

#include <itkImageRegionConstIterator.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace cnnmetric
{

/** \class IntensityNormalisation
 * \brief The map I -> clip((I - lower) / (upper - lower), 0, 1) of docs/reference/model-format.md, and its slope.
 */
class IntensityNormalisation
{
public:
  /** The normalisation of an image, from the quantiles of all of its voxels.
   * \param role "fixed" or "moving", for the error message */
  template <typename TImage>
  static IntensityNormalisation
  FromImage(const TImage & image, const double lowerQuantile, const double upperQuantile, const std::string & role)
  {
    std::vector<double> values;
    values.reserve(image.GetBufferedRegion().GetNumberOfPixels());
    for (itk::ImageRegionConstIterator<TImage> it(&image, image.GetBufferedRegion()); !it.IsAtEnd(); ++it)
    {
      values.push_back(static_cast<double>(it.Get()));
      if (!std::isfinite(values.back()))
      {
        throw Error("The " + role +
                    " image has NaN or infinite voxels. Replace them (for example by the background value) " +
                    "before registration.");
      }
    }
    IntensityNormalisation normalisation;
    normalisation.m_Lower = Quantile(values, lowerQuantile);
    const double upper = Quantile(values, upperQuantile);
    if (!(upper > normalisation.m_Lower))
    {
      throw Error("The " + role + " image is constant (or nearly: its " + ToText(lowerQuantile) + " and " +
                  ToText(upperQuantile) + " quantiles are equal), so there is nothing to register." +
                  AdviceOnPixelType<typename TImage::PixelType>());
    }
    if (std::is_integral_v<typename TImage::PixelType> && upper - normalisation.m_Lower < FewestLevels)
    {
      normalisation.m_Warning = "The " + role + " image has no more than " +
                                ToText(std::floor(upper - normalisation.m_Lower) + 1.0) + " grey levels." +
                                AdviceOnPixelType<typename TImage::PixelType>();
    }
    const double range = upper - normalisation.m_Lower;
    if (range < std::numeric_limits<float>::min() || range > std::numeric_limits<float>::max())
    {
      std::ostringstream message;
      message << "The " << role << " image has intensities from " << normalisation.m_Lower << " to " << upper
              << " (its " << lowerQuantile << " and " << upperQuantile
              << " quantiles), a range that single precision does not hold. Scale the image, for example to 0..1000.";
      throw Error(message.str());
    }
    normalisation.m_Scale = 1.0 / range;
    return normalisation;
  }

  /** What the user should know about the image; empty if there is nothing. */
  const std::string &
  GetWarning() const
  {
    return m_Warning;
  }

  double
  Apply(const double intensity) const
  {
    return std::clamp((intensity - m_Lower) * m_Scale, 0.0, 1.0);
  }

  /** d Apply / d intensity; zero where Apply clips. */
  double
  Slope(const double intensity) const
  {
    return SlopeOfNormalised((intensity - m_Lower) * m_Scale);
  }

  /** The same for an intensity that is already normalised, clipped or not. */
  double
  SlopeOfNormalised(const double normalised) const
  {
    return (normalised > 0.0 && normalised < 1.0) ? m_Scale : 0.0;
  }

private:
  /** An image of whole numbers with fewer levels has lost most of its contrast. */
  static constexpr double FewestLevels = 16.0;

  /** elastix converts images to its internal pixel type, and an image of 0..1 becomes one of two values. */
  template <typename TPixel>
  static std::string
  AdviceOnPixelType()
  {
    if (!std::is_integral_v<TPixel>)
    {
      return "";
    }
    return " elastix's internal pixel type of this registration cuts off decimals. If the image has any, write "
           "(FixedInternalImagePixelType \"float\") and (MovingInternalImagePixelType \"float\").";
  }

  /** A quantile by linear interpolation between order statistics, as numpy.quantile computes it by default. Reorders
   * the values. */
  static double
  Quantile(std::vector<double> & values, const double quantile)
  {
    if (values.empty())
    {
      return 0.0;
    }
    const double position = quantile * static_cast<double>(values.size() - 1);
    const auto   below = values.begin() + static_cast<std::ptrdiff_t>(std::floor(position));
    std::nth_element(values.begin(), below, values.end());
    const double fraction = position - std::floor(position);
    if (fraction == 0.0)
    {
      return *below;
    }
    return *below + fraction * (*std::min_element(below + 1, values.end()) - *below);
  }

  double m_Lower{ 0.0 };
  double m_Scale{ 1.0 };

  std::string m_Warning{};
};

} // namespace cnnmetric

#endif
