// Parses an HTTP/1 request for the metrics listener, which uses only the request line.
// Headers are read to their end and ignored; a body is not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace expirer {

// The longest request line, without its line end.
inline constexpr size_t kHttpLineMax = 1'024;

enum class HttpParse : uint8_t {
  kMore,  // incomplete: more bytes may make it a request
  kGood,
  kBad,  // it can never become a request
};

// Views into the parsed bytes; set only for kGood.
struct HttpRequest {
  HttpParse parse = HttpParse::kMore;
  std::string_view method;
  std::string_view path;  // without ? and what follows it
};

// Parses the request at the beginning of `bytes`, which are all bytes received so far.
// Returns kBad as soon as a byte cannot belong to a request.
[[nodiscard]] HttpRequest ParseHttpRequest(std::string_view bytes);

}  // namespace expirer
