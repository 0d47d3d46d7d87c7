// What of HTTP/1 the metrics listener understands: the request line. Headers are
// read to their end and not looked at; a body is not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace expirer {

// The longest request line, without its line end.
inline constexpr size_t kHttpLineMax = 1'024;

enum class HttpParse : uint8_t {
  kMore,  // so far it may become a request
  kGood,
  kBad,  // it can never become one
};

// Views into the bytes parsed; set when kGood.
struct HttpRequest {
  HttpParse parse = HttpParse::kMore;
  std::string_view method;
  std::string_view path;  // without what stands behind a ?
};

// The request that `bytes`, everything received so far, begins with. Never reads
// past them, and is done with a first byte that no request has.
[[nodiscard]] HttpRequest ParseHttpRequest(std::string_view bytes);

}  // namespace expirer
