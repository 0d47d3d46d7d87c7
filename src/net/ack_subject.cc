#include "net/ack_subject.h"

#include <array>
#include <charconv>
#include <cstddef>

namespace expirer {
namespace {

constexpr size_t kTokensMax = 12;

template <typename T>
bool Number(std::string_view text, T* value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end && text[0] != '-';
}

}  // namespace

std::optional<AckSubject> ParseAckSubject(std::string_view subject) {
  std::array<std::string_view, kTokensMax> tokens;
  size_t count = 0;
  while (true) {
    if (count == kTokensMax) return std::nullopt;
    const size_t dot = subject.find('.');
    tokens[count] = subject.substr(0, dot);
    if (tokens[count++].empty()) return std::nullopt;
    if (dot == std::string_view::npos) break;
    subject.remove_prefix(dot + 1);
  }
  if (count != 9 && count != 11 && count != 12) return std::nullopt;
  if (tokens[0] != "$JS" || tokens[1] != "ACK") return std::nullopt;
  const size_t first = count == 9 ? 2 : 4;
  AckSubject ack;
  ack.stream = tokens[first];
  ack.consumer = tokens[first + 1];
  const bool numbers = Number(tokens[first + 2], &ack.delivered) &&
                       Number(tokens[first + 3], &ack.stream_seq) &&
                       Number(tokens[first + 4], &ack.consumer_seq) &&
                       Number(tokens[first + 5], &ack.time_ns) &&
                       Number(tokens[first + 6], &ack.pending);
  if (!numbers || ack.stream_seq == 0) return std::nullopt;
  return ack;
}

}  // namespace expirer
