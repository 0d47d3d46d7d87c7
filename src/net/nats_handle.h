// Owners for the handles of nats.c, and its errors as absl::Status. Included
// by .cc files of src/net only.
#pragma once

#include <nats/nats.h>

#include <cstring>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/thread.h"

namespace expirer {

template <typename T, void (*Destroy)(T*)>
struct NatsDeleter {
  void operator()(T* handle) const { Destroy(handle); }
};
template <typename T, void (*Destroy)(T*)>
using NatsHandle = std::unique_ptr<T, NatsDeleter<T, Destroy>>;

using NatsOptions = NatsHandle<natsOptions, natsOptions_Destroy>;
using NatsMessage = NatsHandle<natsMsg, natsMsg_Destroy>;
using NatsSubscription = NatsHandle<natsSubscription, natsSubscription_Destroy>;
using NatsConnection = NatsHandle<natsConnection, natsConnection_Destroy>;

// The first error of several calls, all of which are made; NATS_OK if none failed.
template <typename... More>
[[nodiscard]] natsStatus FirstError(natsStatus first, More... more) {
  if constexpr (sizeof...(more) > 0)
    if (first == NATS_OK) return FirstError(more...);
  return first;
}

// Whether the error of a call means that the connection is lost. Other errors concern the
// call itself.
[[nodiscard]] inline bool IsLinkGone(natsStatus status) {
  return status == NATS_CONNECTION_CLOSED || status == NATS_CONNECTION_DISCONNECTED ||
         status == NATS_STALE_CONNECTION || status == NATS_DRAINING;
}

// OK, or kUnavailable with `context` and nats.c's text for this thread.
[[nodiscard]] inline absl::Status FromNats(natsStatus status,
                                           const std::string& context) {
  if (status == NATS_OK) return absl::OkStatus();
  std::string text = context + ": " + natsStatus_GetText(status);
  natsStatus last = NATS_OK;
  const char* detail = nats_GetLastError(&last);
  if (status == NATS_SYS_ERROR && detail != nullptr &&
      std::strstr(detail, "pthread_create"))
    return Unavailable(context + ": " + kNoThread);
  if (last == status && detail != nullptr && *detail != '\0') {
    text += std::string(" (") + detail + ")";
  }
  return Unavailable(text);
}

}  // namespace expirer
