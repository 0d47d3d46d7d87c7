// Any bytes as what a client of metrics.listen sends. Nothing may crash; a
// request is a view into them, is told from any of its prefixes in the same way,
// and stays the same whatever follows.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/http_request.h"
#include "net/listen_address.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace expirer;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const HttpRequest request = ParseHttpRequest(bytes);
  const std::string longer = std::string(bytes) + "GET / HTTP/1.1\r\n\r\n";
  const HttpRequest with_more = ParseHttpRequest(longer);
  if (request.parse != HttpParse::kMore) {
    CHECK(with_more.parse == request.parse);
    CHECK(with_more.method == request.method && with_more.path == request.path);
  }
  if (request.parse == HttpParse::kGood) {
    CHECK(request.path.starts_with('/') && !request.method.empty());
    CHECK(request.path.data() >= bytes.data());
    CHECK(request.path.data() + request.path.size() <= bytes.data() + bytes.size());
    CHECK(request.path.size() <= kHttpLineMax);
  }
  if (const auto address = ParseListenAddress(bytes); address.ok())
    CHECK(address->port >= 0 && address->port <= 65'535);
  return 0;
}
