#include "net/http_request.h"

#include <string>

#include <gtest/gtest.h>

namespace expirer {
namespace {

// "METHOD path", "more" or "bad".
std::string Parsed(std::string_view bytes) {
  const HttpRequest request = ParseHttpRequest(bytes);
  if (request.parse == HttpParse::kMore) return "more";
  if (request.parse == HttpParse::kBad) return "bad";
  return std::string(request.method) + " " + std::string(request.path);
}

TEST(HttpRequest, IsMethodAndPathOnceItsHeadersHaveEnded) {
  const std::string whole =
      "GET /metrics?name=x HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n\r\n";
  EXPECT_EQ(Parsed(whole), "GET /metrics");
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(Parsed(std::string_view(whole).substr(0, size)), "more") << size;
  EXPECT_EQ(Parsed(whole + "and more"), "GET /metrics");
  EXPECT_EQ(Parsed("GET / HTTP/1.0\n\n"), "GET /") << "typed by a person";
  EXPECT_EQ(Parsed("POST /metrics HTTP/1.1\r\n\r\n"), "POST /metrics");
}

TEST(HttpRequest, WhatCanNeverBecomeOneIsToldAtOnce) {
  EXPECT_EQ(Parsed(std::string_view("\x16\x03\x01\x02", 4)), "bad") << "TLS";
  EXPECT_EQ(Parsed(std::string_view("\0", 1)), "bad");
  EXPECT_EQ(Parsed("G\xC3\xA9T"), "bad");
  EXPECT_EQ(Parsed("GET /\tx"), "bad");
  EXPECT_EQ(Parsed("\r\n\r\n"), "bad");
  EXPECT_EQ(Parsed(std::string(kHttpLineMax + 1, 'A')), "bad");
  EXPECT_EQ(Parsed(std::string(kHttpLineMax, 'A')), "more");
}

TEST(HttpRequest, TheLineMustBeThatOfHttpOne) {
  for (const char* line :
       {"GET /metrics", "GET  /metrics HTTP/1.1", "get /metrics HTTP/1.1",
        "GET metrics HTTP/1.1", "GET http://a/metrics HTTP/1.1", "GET * HTTP/1.1",
        "GET /metrics HTTP/2.0", "GET /metrics HTTP/1.1 ", " GET /metrics HTTP/1.1",
        "GET /a b HTTP/1.1", "PRI * HTTP/2.0", "GET", "ABCDEFGHIJKLMNOPQ / HTTP/1.1",
        "GE\"T / HTTP/1.1"})
    EXPECT_EQ(Parsed(std::string(line) + "\r\n\r\n"), "bad") << line;
}

}  // namespace
}  // namespace expirer
