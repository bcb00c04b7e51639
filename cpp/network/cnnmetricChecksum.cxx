// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricChecksum.h"

#include "cnnmetricError.h"
#include "cnnmetricProtocolBuffer.h"

#include <array>
#include <cstdint>
#include <iomanip>
#include <locale>
#include <sstream>

namespace cnnmetric
{

namespace
{

/** Numbers of onnx.proto. */
constexpr unsigned int ModelMetadata = 14;
constexpr unsigned int EntryKey = 1;
constexpr unsigned int EntryValue = 2;

constexpr std::string_view Key = "cnnmetric.checksum";

/** CRC-32 as in zip and PNG files, in eight hexadecimal digits. */
std::string
Checksum(const std::string_view bytes)
{
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> values{};
    for (std::uint32_t byte = 0; byte < values.size(); ++byte)
    {
      std::uint32_t value = byte;
      for (unsigned int bit = 0; bit < 8; ++bit)
      {
        value = (value & 1u) ? 0xedb88320u ^ (value >> 1) : value >> 1;
      }
      values[byte] = value;
    }
    return values;
  }();
  std::uint32_t sum = 0xffffffffu;
  for (const char byte : bytes)
  {
    sum = table[(sum ^ static_cast<unsigned char>(byte)) & 0xffu] ^ (sum >> 8);
  }
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << std::hex << std::setw(8) << std::setfill('0') << (sum ^ 0xffffffffu);
  return text.str();
}

} // namespace


void
CheckChecksum(const std::string_view bytes, const std::string & path)
{
  FieldReader reader(bytes);
  std::size_t before = 0;
  for (Field field; reader.Next(field); before = bytes.size() - reader.Left())
  {
    if (field.number != ModelMetadata)
    {
      continue;
    }
    std::string_view key;
    std::string_view value;
    ForEachField(field.bytes, [&](const Field & part) {
      if (part.number == EntryKey)
      {
        key = part.bytes;
      }
      else if (part.number == EntryValue)
      {
        value = part.bytes;
      }
    });
    if (key == Key && (value != Checksum(bytes.substr(0, before)) || reader.Left() > 0))
    {
      throw ModelError("Model file '" + path +
                       "' is not what was written: its checksum differs. It was damaged, or changed afterwards. Get it "
                       "again; if the change is meant, remove the metadata entry 'cnnmetric.checksum'.");
    }
  }
}

} // namespace cnnmetric
