#include "base/coding.h"

#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace expirer {
namespace {

TEST(Coding, BigEndianBytesSortAsTheirNumbers) {
  std::mt19937_64 random(20261122);
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t a = random() >> (random() % 64);
    const uint64_t b = random() >> (random() % 64);
    std::string bytes_a, bytes_b;
    PutBig64(&bytes_a, a);
    PutBig64(&bytes_b, b);
    ASSERT_EQ(bytes_a.size(), 8u);
    ASSERT_EQ(Big64(bytes_a.data()), a);
    ASSERT_EQ(bytes_a < bytes_b, a < b);
  }
  std::string small;
  PutBig16(&small, 0xFE01);
  EXPECT_EQ(small, "\xFE\x01");
  EXPECT_EQ(Big16(small.data()), 0xFE01);
}

TEST(Coding, VarintsReadBackAtEveryLength) {
  for (int bits = 0; bits <= 64; ++bits) {
    const uint64_t edge =
        bits == 64 ? std::numeric_limits<uint64_t>::max() : (uint64_t{1} << bits) - 1;
    for (const uint64_t value : {edge, edge + 1}) {
      std::string bytes;
      PutVarint(&bytes, value);
      EXPECT_LE(bytes.size(), 10u);
      Reader reader(bytes);
      EXPECT_EQ(reader.Varint(), value);
      EXPECT_TRUE(reader.AtEnd());
    }
  }
}

TEST(Coding, SignedNumbersNearZeroAreShort) {
  for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{63}, int64_t{-64}}) {
    std::string bytes;
    PutSigned(&bytes, value);
    EXPECT_EQ(bytes.size(), 1u);
  }
  for (const int64_t value : {std::numeric_limits<int64_t>::min(),
                              std::numeric_limits<int64_t>::max(), int64_t{-300}}) {
    std::string bytes;
    PutSigned(&bytes, value);
    EXPECT_EQ(Reader(bytes).Signed(), value);
  }
}

TEST(Coding, BytesKeepZeroesAndEmptiness) {
  std::string bytes;
  PutBytes(&bytes, std::string_view("a\0b", 3));
  PutBytes(&bytes, "");
  Reader reader(bytes);
  EXPECT_EQ(reader.Bytes(), std::string_view("a\0b", 3));
  EXPECT_EQ(reader.Bytes(), "");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(Coding, AReadPastTheEndSpoilsAllThatFollow) {
  Reader reader("\x01");
  EXPECT_EQ(reader.ReadBig64(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Byte(), 0);
  EXPECT_FALSE(reader.AtEnd());
}

TEST(Coding, MalformedVarintsAndLengthsAreErrors) {
  for (const std::string& bytes :
       {std::string("\x80"), std::string(10, '\x80'), std::string(9, '\xFF') + "\x02",
        std::string(11, '\xFF')}) {
    Reader reader(bytes);
    EXPECT_EQ(reader.Varint(), 0u);
    EXPECT_FALSE(reader.ok());
  }
  Reader longer(
      "\x05"
      "abc");
  EXPECT_EQ(longer.Bytes(), "");
  EXPECT_FALSE(longer.ok());
  std::string huge;
  PutVarint(&huge, std::numeric_limits<uint64_t>::max());
  Reader overflow(huge);
  EXPECT_EQ(overflow.Bytes(), "");
  EXPECT_FALSE(overflow.ok());
}

TEST(Coding, BytesLeftOverAreNotTheEnd) {
  Reader reader("ab");
  EXPECT_EQ(reader.Byte(), 'a');
  EXPECT_TRUE(reader.ok());
  EXPECT_FALSE(reader.AtEnd());
  EXPECT_EQ(reader.rest(), "b");
}

}  // namespace
}  // namespace expirer
