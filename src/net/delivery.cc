#include "net/delivery.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "job/header_block.h"
#include "net/nats_handle.h"

namespace expirer {
namespace {

std::string_view View(const char* text) { return text == nullptr ? "" : text; }

// Behind subject and reply, where the payload begins when there are no headers.
const char* BehindReply(natsMsg* message) {
  const char* text = natsMsg_GetReply(message);
  if (text == nullptr) text = natsMsg_GetSubject(message);
  return text + std::strlen(text) + 1;
}

// Whether this nats.c keeps messages as delivery.h draws them: then all between
// reply and payload is the message's own memory.
bool OneRunOfBytes() {
  for (const char* reply : {"reply", static_cast<const char*>(nullptr)}) {
    natsMsg* raw = nullptr;
    if (natsMsg_Create(&raw, "subject", reply, "payload", 7) != NATS_OK) return false;
    const NatsMessage message(raw);
    const char* const subject = natsMsg_GetSubject(raw);
    if (reply != nullptr && natsMsg_GetReply(raw) != subject + sizeof("subject"))
      return false;
    if (natsMsg_GetData(raw) != BehindReply(raw)) return false;
  }
  return true;
}

}  // namespace

std::string_view Delivery::subject() const { return View(natsMsg_GetSubject(message_)); }
std::string_view Delivery::reply() const { return View(natsMsg_GetReply(message_)); }

std::string_view Delivery::payload() const {
  const int length = natsMsg_GetDataLength(message_);
  if (length <= 0) return {};
  return {natsMsg_GetData(message_), static_cast<size_t>(length)};
}

std::optional<std::string_view> Delivery::HeaderBlock() const {
  static const bool one_run = OneRunOfBytes();
  const char* const begin = BehindReply(message_);
  const char* const end = natsMsg_GetData(message_);
  if (one_run && begin < end && end[-1] == '\0')
    return std::string_view(begin, static_cast<size_t>(end - begin) - 1);
  // nats.c says that there are none: it looks at no byte of them.
  const char** names = nullptr;
  int count = 0;
  const natsStatus none = natsMsgHeader_Keys(message_, &names, &count);
  std::free(static_cast<void*>(names));
  if (none == NATS_NOT_FOUND && (begin == end || !one_run)) return "";
  return std::nullopt;
}

Delivery::Status Delivery::status() const {
  if (natsMsg_GetDataLength(message_) > 0) return {};
  std::string_view text = HeaderBlockStatus(HeaderBlock().value_or(""));
  constexpr size_t kDigits = 3;
  if (text.size() < kDigits || (text.size() > kDigits && text[kDigits] != ' ')) return {};
  int number = 0;
  for (const char c : text.substr(0, kDigits)) {
    if (c < '0' || c > '9') return {};
    number = number * 10 + (c - '0');
  }
  text.remove_prefix(std::min(text.size(), kDigits + 1));
  return {number, text};
}

std::string Delivery::Header(std::string_view name) const {
  Headers headers;
  CopyHeaders(&headers);
  for (auto& [known, value] : headers)
    if (known == name) return std::move(value);
  return "";
}

void Delivery::CopyHeaders(Headers* headers) const {
  const std::optional<std::string_view> block = HeaderBlock();
  if (!block.has_value())
    *headers = UnreadHeaders("");
  else if (block->empty())
    headers->clear();
  else  // what is wrong with them is said by whoever needs them
    (void)ReadHeaderBlock(*block, headers);
}

}  // namespace expirer
