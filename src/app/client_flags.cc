#include "app/client_flags.h"

#include <CLI/CLI.hpp>

#include "app/context.h"
#include "base/duration.h"

namespace expirer {

void AddClientFlags(CLI::App* command, ClientFlags* flags) {
  command->add_option("-s,--server", flags->servers,
                      "NATS servers, comma-separated (NATS_URL)");
  command->add_option("--context", flags->context,
                      "context of the nats CLI (NATS_CONTEXT)");
  command->add_option("--user", flags->user, "user name (NATS_USER)");
  command->add_option("--password", flags->password, "password (NATS_PASSWORD)");
  command->add_option("--creds", flags->creds, "credentials file (NATS_CREDS)");
  command->add_option("--nkey", flags->nkey, "nkey seed file (NATS_NKEY)");
  command->add_option("--tlsca", flags->tls_ca, "CA certificates, PEM (NATS_CA)");
  command->add_option("--tlscert", flags->tls_cert,
                      "client certificate, PEM (NATS_CERT)");
  command->add_option("--tlskey", flags->tls_key, "client key, PEM (NATS_KEY)");
  command->add_option("--inbox-prefix", flags->inbox_prefix,
                      "of the subjects that answers come to (_INBOX)");
}

absl::StatusOr<int64_t> ParseTimeout(const std::string& text) {
  const auto timeout_ms = ParseDuration(text);
  if (!timeout_ms.ok() || *timeout_ms <= 0)
    return Invalid("--timeout: expected a duration such as 5s");
  return *timeout_ms;
}

}  // namespace expirer
