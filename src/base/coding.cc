#include "base/coding.h"

#include <charconv>

namespace expirer {

void PutBig16(std::string* out, uint16_t value) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value));
}

void PutBig64(std::string* out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out->push_back(static_cast<char>(value >> shift));
}

void PutVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void PutSigned(std::string* out, int64_t value) {
  PutVarint(out,
            (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
}

void PutBytes(std::string* out, std::string_view bytes) {
  PutVarint(out, bytes.size());
  out->append(bytes);
}

void AppendPercentEncoded(std::string_view text, std::string* out) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x21 && byte <= 0x7E && byte != '%') {
      out->push_back(c);
    } else {
      out->push_back('%');
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
    }
  }
}

std::string PercentDecoded(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    uint8_t byte = 0;
    const char* const end = text.data() + at + 3;
    const bool pair = text[at] == '%' && at + 2 < text.size() &&
                      std::from_chars(end - 2, end, byte, 16).ptr == end;
    out.push_back(pair ? static_cast<char>(byte) : text[at]);
    if (pair) at += 2;
  }
  return out;
}

void PutLittle(std::string* out, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t Little(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i)
    value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

uint16_t Big16(const char* bytes) {
  const auto* b = reinterpret_cast<const unsigned char*>(bytes);
  return static_cast<uint16_t>(b[0] << 8 | b[1]);
}

uint64_t Big64(const char* bytes) {
  const auto* b = reinterpret_cast<const unsigned char*>(bytes);
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | b[i];
  return value;
}

std::string_view Reader::Take(uint64_t count) {
  if (!ok_ || count > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

uint8_t Reader::Byte() {
  const std::string_view byte = Take(1);
  return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
}

uint16_t Reader::ReadBig16() {
  std::string_view bytes = Take(2);
  return bytes.empty() ? 0 : Big16(bytes.data());
}

uint64_t Reader::ReadBig64() {
  std::string_view bytes = Take(8);
  return bytes.empty() ? 0 : Big64(bytes.data());
}

uint64_t Reader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = Byte();
    if (!ok_) return 0;
    // The tenth byte may carry only the last bit of 64.
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  (void)Take(SIZE_MAX);  // too long: nothing can be read from here on
  return 0;
}

int64_t Reader::Signed() {
  const uint64_t raw = Varint();
  return static_cast<int64_t>(raw >> 1) ^ -static_cast<int64_t>(raw & 1);
}

std::string_view Reader::Bytes() {
  const uint64_t size = Varint();
  return Take(size);
}

}  // namespace expirer
