#include "net/listen_address.h"

#include <algorithm>
#include <charconv>

namespace expirer {
namespace {

constexpr int kPortMax = 65'535;

bool IsHost(std::string_view host, bool bracketed) {
  return std::all_of(host.begin(), host.end(), [bracketed](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || (bracketed ? c == ':' || c == '%' : c == '-' || c == '_');
  });
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  const absl::Status wrong = Invalid(
      "expected HOST:PORT, [IPV6]:PORT or :PORT, such as 127.0.0.1:9464; port 0 is a "
      "free one");
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return wrong;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  ListenAddress address{std::string(host), 0};
  const char* const end = digits.data() + digits.size();
  const auto [read_to, error] = std::from_chars(digits.data(), end, address.port);
  const bool number = error == std::errc() && read_to == end;
  if (!number || address.port < 0 || address.port > kPortMax) return wrong;
  if (!IsHost(host, bracketed)) return wrong;
  return address;
}

}  // namespace expirer
