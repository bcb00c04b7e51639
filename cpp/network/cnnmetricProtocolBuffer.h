// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricProtocolBuffer_h
#define cnnmetricProtocolBuffer_h

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace cnnmetric
{

/** One field of a message of protocol buffers. */
struct Field
{
  unsigned int     number{};
  std::uint64_t    value{}; // of a whole number
  std::string_view bytes{}; // of a text, a message, or packed numbers
};

/** Read a whole number of variable length from the beginning of some bytes, and remove it there. */
inline bool
ReadVarint(std::string_view & rest, std::uint64_t & value)
{
  for (unsigned int shift = 0; shift < 64 && !rest.empty(); shift += 7)
  {
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7fu) << shift;
    if (byte < 0x80u)
    {
      return true;
    }
  }
  return false;
}

/** Goes through the fields of a message. Ends early where the bytes are none. */
class FieldReader
{
public:
  explicit FieldReader(const std::string_view message)
    : m_Rest(message)
  {
  }

  bool
  Next(Field & field)
  {
    std::uint64_t key = 0;
    field = {};
    if (m_Rest.empty() || !ReadVarint(m_Rest, key))
    {
      return false;
    }
    field.number = static_cast<unsigned int>(key >> 3);
    std::uint64_t size = 0;
    switch (key & 7u)
    {
      case 0:
        return ReadVarint(m_Rest, field.value);
      case 1:
        return Take(8, field.bytes);
      case 2:
        return ReadVarint(m_Rest, size) && Take(size, field.bytes);
      case 5:
        return Take(4, field.bytes);
      default:
        return false;
    }
  }

  /** Number of bytes that have not been read yet. */
  std::size_t
  Left() const
  {
    return m_Rest.size();
  }

private:
  bool
  Take(const std::uint64_t size, std::string_view & bytes)
  {
    if (size > m_Rest.size())
    {
      return false;
    }
    bytes = m_Rest.substr(0, size);
    m_Rest.remove_prefix(size);
    return true;
  }

  std::string_view m_Rest;
};

template <typename TWork>
void
ForEachField(const std::string_view message, const TWork & work)
{
  FieldReader reader(message);
  for (Field field; reader.Next(field);)
  {
    work(field);
  }
}

/** As ForEachField, with all bytes of a field, its key among them. */
template <typename TWork>
void
ForEachFieldWithBytes(const std::string_view message, const TWork & work)
{
  FieldReader reader(message);
  std::size_t left = message.size();
  for (Field field; reader.Next(field); left = reader.Left())
  {
    work(field, message.substr(message.size() - left, left - reader.Left()));
  }
}

/** Append a whole number of variable length to some bytes. */
inline void
AppendVarint(std::uint64_t value, std::string & bytes)
{
  for (; value >= 0x80u; value >>= 7)
  {
    bytes += static_cast<char>((value & 0x7fu) | 0x80u);
  }
  bytes += static_cast<char>(value);
}

/** Append a field that is a text or a message. */
inline void
AppendField(const unsigned int number, const std::string_view content, std::string & bytes)
{
  AppendVarint(static_cast<std::uint64_t>(number) << 3 | 2u, bytes);
  AppendVarint(content.size(), bytes);
  bytes += content;
}

template <typename TValue, typename TWork>
void
ForEachValue(const std::string_view bytes, const TWork & work)
{
  for (std::size_t offset = 0; offset + sizeof(TValue) <= bytes.size(); offset += sizeof(TValue))
  {
    TValue value{};
    std::memcpy(&value, bytes.data() + offset, sizeof(TValue));
    work(value);
  }
}

} // namespace cnnmetric

#endif
