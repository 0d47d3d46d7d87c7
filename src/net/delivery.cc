#include "net/delivery.h"

#include <cstdlib>
#include <memory>

#include "net/nats_handle.h"

namespace expirer {
namespace {

std::string_view View(const char* text) { return text == nullptr ? "" : text; }

struct FreeArray {
  void operator()(const char** array) const { std::free(static_cast<void*>(array)); }
};
using CharArray = std::unique_ptr<const char*, FreeArray>;

}  // namespace

std::string_view Delivery::subject() const { return View(natsMsg_GetSubject(message_)); }
std::string_view Delivery::reply() const { return View(natsMsg_GetReply(message_)); }

std::string_view Delivery::payload() const {
  const int length = natsMsg_GetDataLength(message_);
  if (length <= 0) return {};
  return {natsMsg_GetData(message_), static_cast<size_t>(length)};
}

std::string_view Delivery::Header(const char* name) const {
  const char* value = nullptr;
  if (natsMsgHeader_Get(message_, name, &value) != NATS_OK) return {};
  return View(value);
}

Delivery::Status Delivery::status() const {
  if (natsMsg_GetDataLength(message_) > 0) return {};
  const std::string_view code = Header("Status");
  if (code.size() != 3) return {};
  int number = 0;
  for (const char c : code) {
    if (c < '0' || c > '9') return {};
    number = number * 10 + (c - '0');
  }
  return {number, Header("Description")};
}

void Delivery::CopyHeaders(Headers* headers) const {
  headers->clear();
  const char** raw_keys = nullptr;
  int key_count = 0;
  if (natsMsgHeader_Keys(message_, &raw_keys, &key_count) != NATS_OK) return;
  const CharArray keys(raw_keys);
  for (int i = 0; i < key_count; ++i) {
    const char* key = keys.get()[i];
    const char** raw_values = nullptr;
    int value_count = 0;
    if (natsMsgHeader_Values(message_, key, &raw_values, &value_count) != NATS_OK)
      continue;
    const CharArray values(raw_values);
    for (int j = 0; j < value_count; ++j) {
      headers->emplace_back(key, View(values.get()[j]));
    }
  }
}

}  // namespace expirer
