// Byte coding shared by every stored format. Keys use big-endian, so that
// RocksDB's bytewise order is numeric order; values use LEB128 varints (7 bits
// a byte, low first), zigzag for signed, and length-prefixed byte strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace expirer {

void PutBig16(std::string* out, uint16_t value);
void PutBig64(std::string* out, uint64_t value);
void PutVarint(std::string* out, uint64_t value);
void PutSigned(std::string* out, int64_t value);
void PutBytes(std::string* out, std::string_view bytes);
// Encodes integers of any types as varints, in this order.
template <typename... Numbers>
void PutVarints(std::string* out, Numbers... numbers) {
  (PutVarint(out, static_cast<uint64_t>(numbers)), ...);
}
template <typename... Numbers>
[[nodiscard]] std::string Varints(Numbers... numbers) {
  std::string out;
  PutVarints(&out, numbers...);
  return out;
}

// Appends `text`; bytes outside 0x21-0x7E, and %, become %XX.
void AppendPercentEncoded(std::string_view text, std::string* out);
// The inverse. A % without two hex digits behind it stays.
[[nodiscard]] std::string PercentDecoded(std::string_view text);

// Integers as RocksDB writes them, the low byte first: `count` bytes, or all of
// `bytes`, at most 8.
void PutLittle(std::string* out, uint64_t value, int count);
[[nodiscard]] uint64_t Little(std::string_view bytes);

[[nodiscard]] uint16_t Big16(const char* bytes);
[[nodiscard]] uint64_t Big64(const char* bytes);

// Reads a value front to back. After the first read past the end, or of a
// malformed varint, every further read returns zero or empty and ok() is
// false. Views point into the input.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] uint8_t Byte();
  [[nodiscard]] uint16_t ReadBig16();
  [[nodiscard]] uint64_t ReadBig64();
  [[nodiscard]] uint64_t Varint();
  [[nodiscard]] int64_t Signed();
  [[nodiscard]] std::string_view Bytes();
  // Reads what PutVarints wrote, into integers of the same types.
  template <typename... Numbers>
  void Varints(Numbers*... numbers) {
    ((*numbers = static_cast<Numbers>(Varint())), ...);
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool ok() const { return ok_; }
  // True if everything was read and no read failed.
  [[nodiscard]] bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  std::string_view Take(uint64_t count);
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace expirer
