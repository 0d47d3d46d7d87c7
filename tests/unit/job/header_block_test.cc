#include "job/header_block.h"

#include <string>

#include <gtest/gtest.h>

namespace expirer {
namespace {

// `lines` as the headers of a message.
Headers Read(std::string_view lines) {
  Headers headers = {{"of", "another message"}};
  const absl::Status status =
      ReadHeaderBlock("NATS/1.0\r\n" + std::string(lines) + "\r\n", &headers);
  EXPECT_TRUE(status.ok()) << Message(status);
  EXPECT_TRUE(CheckHeadersRead(&headers).ok());
  return headers;
}

// Why `block` cannot be read; it must then stand for its headers.
std::string Why(std::string_view block) {
  Headers headers = {{"of", "another message"}};
  const absl::Status status = ReadHeaderBlock(block, &headers);
  if (status.ok()) return "it can";
  EXPECT_EQ(headers, (Headers{{"", std::string(block)}}));
  EXPECT_EQ(headers, UnreadHeaders(block));
  EXPECT_EQ(Message(CheckHeadersRead(&headers)),
            "the headers cannot be read: " + Message(status));
  return Message(status);
}

TEST(HeaderBlock, HeadersKeepTheirOrderRepeatedOnesToo) {
  EXPECT_EQ(Read("b: 1\r\na: 2\r\nB: 3\r\nb: 4\r\n"),
            (Headers{{"b", "1"}, {"a", "2"}, {"B", "3"}, {"b", "4"}}));
  EXPECT_EQ(Read(""), Headers());
}

TEST(HeaderBlock, AnEmptyValueIsAnEmptyValueWhereverItStands) {
  EXPECT_EQ(Read("baggage: \r\n"), (Headers{{"baggage", ""}}));
  EXPECT_EQ(Read("a:\r\nb: 1\r\n"), (Headers{{"a", ""}, {"b", "1"}}));
  EXPECT_EQ(Read("b: 1\r\na: \t \r\n"), (Headers{{"b", "1"}, {"a", ""}}));
}

TEST(HeaderBlock, AZeroByteEndsNothing) {
  const std::string line("a\0b: c\0d\r\ne: f\r\n", 16);
  EXPECT_EQ(Read(line),
            (Headers{{std::string("a\0b", 3), std::string("c\0d", 3)}, {"e", "f"}}));
}

TEST(HeaderBlock, ANameEndsAtTheFirstColonAndBlanksAroundAValueAreNotOfIt) {
  EXPECT_EQ(Read("url:nats://x:1\r\nX : \t a  b \t\r\n\xff:\xfe\r\n"),
            (Headers{{"url", "nats://x:1"}, {"X ", "a  b"}, {"\xff", "\xfe"}}));
}

TEST(HeaderBlock, ALineThatBeginsWithABlankGoesOnWithTheValueBefore) {
  EXPECT_EQ(Read("a: 1\r\n\t 2: \r\nb: 3\r\n"), (Headers{{"a", "1 2:"}, {"b", "3"}}));
}

TEST(HeaderBlock, TheLineAtFaultIsNamed) {
  EXPECT_EQ(Why("NATS/1.0\r\na: 1\r\nno colon\r\nb: 2\r\n\r\n"),
            "line 3, \"no colon\", has no colon");
  EXPECT_EQ(Why("NATS/1.0\r\n: 1\r\n\r\n"),
            "line 2, \": 1\", has no name before its colon");
  EXPECT_EQ(Why("NATS/1.0\r\n a: 1\r\n\r\n"),
            "line 2, \" a: 1\", goes on with a header that is not there");
  EXPECT_EQ(Why("NATS/1.0\r\na: 1\nNats-Rollup: all\r\n\r\n"),
            "line 2, \"a: 1\\x0aNats-Rollup: all\", holds half of a line end");
  EXPECT_EQ(Why("NATS/1.0\r\na: 1\r\r\n\r\n"),
            "line 2, \"a: 1\\x0d\", holds half of a line end");
}

TEST(HeaderBlock, WhatIsNoBlockIsRefused) {
  const std::string begin = "they do not begin with the line NATS/1.0";
  for (const char* block : {"", "a: 1\r\n\r\n", "NATS/1.0", "NATS/1.1\r\n\r\n",
                            "NATS/1.05\r\n\r\n", " NATS/1.0\r\n\r\n"})
    EXPECT_EQ(Why(block), begin) << block;
  EXPECT_EQ(Why("NATS/1.0\r\n"), "they have no end");
  EXPECT_EQ(Why("NATS/1.0\r\na: 1\r\n"), "they have no end");
  EXPECT_EQ(Why("NATS/1.0\r\na: 1\r\n\r\nb: 2\r\n"),
            "there are bytes behind their end, line 3");
}

TEST(HeaderBlock, TheStatusStandsInTheFirstLineAndIsNoHeader) {
  EXPECT_EQ(HeaderBlockStatus("NATS/1.0 503\r\n\r\n"), "503");
  EXPECT_EQ(HeaderBlockStatus("NATS/1.0 100 Idle Heartbeat\r\na: 1\r\n\r\n"),
            "100 Idle Heartbeat");
  for (const char* none : {"", "NATS/1.0\r\n\r\n", "NATS/1.0 503", "503\r\n\r\n"})
    EXPECT_EQ(HeaderBlockStatus(none), "") << none;
  Headers headers;
  EXPECT_TRUE(ReadHeaderBlock("NATS/1.0 503\r\na: 1\r\n\r\n", &headers).ok());
  EXPECT_EQ(headers, (Headers{{"a", "1"}}));
}

TEST(HeaderBlock, HeadersThatWereReadAreNotCheckedAgain) {
  EXPECT_TRUE(CheckHeadersRead(nullptr).ok());
  const Headers none;
  EXPECT_TRUE(CheckHeadersRead(&none).ok());
}

}  // namespace
}  // namespace expirer
