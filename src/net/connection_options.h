// The addresses of NATS, and our identity.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

struct __natsOptions;

namespace expirer {

struct ConnectionOptions {
  // With nats://, tls:// (switches TLS on) or http:// (treated as nats://). A missing
  // scheme is nats://, a missing port 4222.
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
  // True: one thread handles the messages of all subscriptions, in the order of their
  // arrival. False: each subscription has its own thread.
  bool ordered = false;
  std::string name;  // as the server shows it; "" = expirer-<host>-<role>
};

// Splits NATS_URL's form of a server list ("a:4222, nats://b").
[[nodiscard]] std::vector<std::string> SplitServers(std::string_view list);
// A server list for display and logs: "(hidden)" replaces user, password or token before
// an @.
[[nodiscard]] std::string WithoutLogins(std::string_view servers);
// User and password, or token, from the first of `servers` that has them before an @,
// percent-decoded (%24 is $). All are empty if no server has them.
struct UrlLogin {
  std::string user;
  std::string password;
  std::string token;
};
[[nodiscard]] UrlLogin LoginOf(const std::vector<std::string>& servers);
// `server` in the form that nats.c expects; sets `*secure` if it is tls://.
[[nodiscard]] std::string NormalizeServer(std::string_view server, bool* secure);

// Checks without connecting that the files of identity and TLS can be read and have the
// right content. The error names the first that fails. Whether the server accepts them is
// only known after a connect.
absl::Status CheckSecretFiles(const ConnectionOptions& options);

// Sets addresses (the configured and the `discovered` ones), identity, TLS, name and
// time-out of `out`. A login in a URL overrides user and token. It is used for all
// servers, including discovered ones, unless each URL has its own. Files are read now, or
// by nats.c at the connect, so a rotated secret is used from the next connect on.
// `options` must outlive `out`'s connect. `*secure` says whether the options require TLS;
// a server may require it, too.
absl::Status ApplyOptions(const ConnectionOptions& options,
                          const std::vector<std::string>& discovered,
                          const std::string& name, __natsOptions* out, bool* secure);

}  // namespace expirer
