// Where NATS is, and who we are to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

struct __natsOptions;

namespace expirer {

struct ConnectionOptions {
  // nats://, tls:// (switches TLS on) or http:// (taken as nats://); one that
  // lacks a scheme or port gets nats:// and 4222.
  std::vector<std::string> servers = {"nats://127.0.0.1:4222"};
  std::string creds;  // path of a credentials file; read at every connect
  std::string nkey;   // path of a file with the seed and, on a line of its
                      // own, the public key ("U...")
  std::string user;
  std::string password;
  std::string token;
  std::string tls_ca;  // paths of PEM files; any of them switches TLS on
  std::string tls_cert;
  std::string tls_key;
  std::string inbox_prefix = "_INBOX";
  std::string domain;  // of JetStream; "" = none
  int64_t connect_timeout_ms = 2'000;
  // Messages of all subscriptions are handled by one thread, in the order in
  // which they arrived; else each subscription has a thread of its own.
  bool ordered = false;
  std::string name;  // as the server shows it; "" = expirer-<host>-<role>
};

// Splits NATS_URL's form of a server list ("a:4222, nats://b").
[[nodiscard]] std::vector<std::string> SplitServers(std::string_view list);
// Such a list as it may be shown and logged: user, password or token before an @
// give way to "(hidden)".
[[nodiscard]] std::string WithoutLogins(std::string_view servers);
// User and password, or token, of the first of `servers` that has them before an @,
// percent-decoded (%24 is $); all empty where none has.
struct UrlLogin {
  std::string user;
  std::string password;
  std::string token;
};
[[nodiscard]] UrlLogin LoginOf(const std::vector<std::string>& servers);
// `server` as nats.c wants it; sets `*secure` for tls://.
[[nodiscard]] std::string NormalizeServer(std::string_view server, bool* secure);

// Whether the files of identity and TLS can be read and hold what they are for,
// without connecting: the error names the first that does not. What a server
// makes of them is known at the connect only.
[[nodiscard]] absl::Status CheckSecretFiles(const ConnectionOptions& options);

// Sets addresses (the configured and the `discovered` ones), identity, TLS,
// name and time-out. A login in a URL goes before user and token, and counts for all
// servers, the discovered ones too, unless each URL has its own. Files are read now, or
// by nats.c at the connect, so that a rotated secret counts from the next connect on.
// `options` must outlive `out`'s connect. `*secure` tells whether TLS was asked for; a
// server may still demand it.
[[nodiscard]] absl::Status ApplyOptions(const ConnectionOptions& options,
                                        const std::vector<std::string>& discovered,
                                        const std::string& name, __natsOptions* out,
                                        bool* secure);

}  // namespace expirer
