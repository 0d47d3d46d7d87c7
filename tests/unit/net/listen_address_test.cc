#include "net/listen_address.h"

#include <gtest/gtest.h>

namespace expirer {
namespace {

// "host|port", or the error.
std::string Parsed(std::string_view text) {
  const auto address = ParseListenAddress(text);
  if (!address.ok()) return Message(address.status());
  return address->host + "|" + std::to_string(address->port);
}

TEST(ListenAddress, IsHostAndPort) {
  EXPECT_EQ(Parsed("127.0.0.1:9464"), "127.0.0.1|9464");
  EXPECT_EQ(Parsed("localhost:0"), "localhost|0");
  EXPECT_EQ(Parsed("[::1]:65535"), "::1|65535");
  EXPECT_EQ(Parsed("[fe80::1%eth0]:1"), "fe80::1%eth0|1");
  EXPECT_EQ(Parsed(":9464"), "|9464") << "every address of the host";
}

TEST(ListenAddress, EverythingElseIsRefusedWithWhatWasExpected) {
  for (const char* text :
       {"", "9464", "localhost", "localhost:", "h:65536", "h:-1", "h:+1", "h:1x", "h: 1",
        "http://h:1", "::1:80", "[::1]", "[]:80", "a b:1", "h:http", "\n:1"})
    EXPECT_EQ(Parsed(text).rfind("expected HOST:PORT", 0), 0u) << text;
}

}  // namespace
}  // namespace expirer
