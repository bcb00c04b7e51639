// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricText_h
#define cnnmetricText_h

#include <locale>
#include <optional>
#include <sstream>
#include <string>

namespace cnnmetric
{

/** \class TextStream
 * \brief Makes texts of numbers with a decimal point and no thousands separators.
 *
 * The locale of the process belongs to the host program and may have a decimal comma, so `std::to_string` and streams
 * without a locale of their own are not used for numbers with decimals. */
class TextStream : public std::ostringstream
{
public:
  TextStream() { this->imbue(std::locale::classic()); }
};


/** A number as text; at most six digits. */
inline std::string
ToText(const double number)
{
  TextStream stream;
  stream << number;
  return stream.str();
}

/** One entry per axis, as in "40 x 40 x 2". */
template <typename TValues>
std::string
JoinAxes(const TValues & values)
{
  TextStream stream;
  bool       isFirst = true;
  for (const auto & value : values)
  {
    stream << (isFirst ? "" : " x ") << value;
    isFirst = false;
  }
  return stream.str();
}

/** The number that a text consists of, with a decimal point; nothing if it is not a finite number. */
inline std::optional<double>
ToNumber(const std::string & text)
{
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  double number = 0.0;
  char   rest = 0;
  // A number that is too large for a double fails as well.
  return stream >> number && !(stream >> rest) ? std::optional<double>(number) : std::nullopt;
}

} // namespace cnnmetric

#endif
