#include "app/context.h"

#include "base/read_file.h"
#include "job/json_view.h"

namespace expirer {
namespace {

std::string Trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r'; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  while (!text.empty() && blank(text.front())) text.erase(text.begin());
  return text;
}

absl::Status SetServers(const std::string& from, const std::string& text,
                        ConnectionOptions* options) {
  auto servers = ParseServers(text);
  if (!servers.ok()) return Annotate(servers.status(), from);
  options->servers = *std::move(servers);
  return absl::OkStatus();
}

// `~` is written by people, not by the `nats` CLI, which takes it all the same.
std::string Expand(const std::string& path, const std::string& home) {
  return path.starts_with("~/") ? home + path.substr(1) : path;
}

absl::Status ReadContext(const std::string& path, const std::string& home,
                         ConnectionOptions* options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  auto members = JsonMembers(text);
  if (!members.ok()) return Annotate(members.status(), path);
  for (const auto& [name, value] : *members) {
    if (value.kind != JsonValue::Kind::kString) continue;
    std::string scratch;
    const auto decoded = JsonText(value, &scratch);
    if (!decoded.ok() || decoded->empty()) continue;
    const std::string given(*decoded);
    if (name == "url") RETURN_IF_ERROR(SetServers(path, given, options));
    if (name == "user") options->user = given;
    if (name == "password") options->password = given;
    if (name == "token") options->token = given;
    if (name == "creds") options->creds = Expand(given, home);
    if (name == "nkey") options->nkey = Expand(given, home);
    if (name == "cert") options->tls_cert = Expand(given, home);
    if (name == "key") options->tls_key = Expand(given, home);
    if (name == "ca") options->tls_ca = Expand(given, home);
    if (name == "inbox_prefix") options->inbox_prefix = given;
    if (name == "jetstream_domain") options->domain = given;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConnectionOptions> ClientOptions(const ClientFlags& flags,
                                                const Environment& getenv) {
  const auto variable = [&getenv](const char* name) {
    const char* value = getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  ConnectionOptions options;
  const std::string home = variable("HOME");
  const std::string xdg = variable("XDG_CONFIG_HOME");
  const std::string nats = (xdg.empty() ? home + "/.config" : xdg) + "/nats";
  std::string context = flags.context.empty() ? variable("NATS_CONTEXT") : flags.context;
  const bool named = !context.empty();
  if (!named) {
    const auto selected = ReadFile(nats + "/context.txt");
    if (selected.ok()) context = Trimmed(*selected);
  }
  if (context.find('/') != context.npos)
    return Invalid("context " + context + ": expected a name without /");
  if (!context.empty()) {
    const absl::Status read =
        ReadContext(nats + "/context/" + context + ".json", home, &options);
    // One that was selected and then removed by hand stops nobody.
    if (!read.ok() && (named || !absl::IsNotFound(read)))
      return Annotate(read, "context " + context);
  }
  const struct {
    const char* name;
    const std::string& flag;
    std::string* value;
  } settings[] = {
      {"NATS_USER", flags.user, &options.user},
      {"NATS_PASSWORD", flags.password, &options.password},
      {"NATS_TOKEN", "", &options.token},
      {"NATS_CREDS", flags.creds, &options.creds},
      {"NATS_NKEY", flags.nkey, &options.nkey},
      {"NATS_CA", flags.tls_ca, &options.tls_ca},
      {"NATS_CERT", flags.tls_cert, &options.tls_cert},
      {"NATS_KEY", flags.tls_key, &options.tls_key},
  };
  for (const auto& setting : settings) {
    const std::string text = setting.flag.empty() ? variable(setting.name) : setting.flag;
    if (text.empty()) continue;
    if (HasControl(text))
      return Invalid(std::string(setting.name) + ": " + std::string(kNoControl));
    *setting.value = text;
  }
  if (!flags.inbox_prefix.empty()) {
    if (!IsInboxPrefix(flags.inbox_prefix))
      return Invalid(
          "--inbox-prefix: expected a subject without wildcards, such as "
          "_INBOX_mine");
    options.inbox_prefix = flags.inbox_prefix;
  }
  const std::string url = variable("NATS_URL");
  if (!flags.servers.empty())
    RETURN_IF_ERROR(SetServers("--server", flags.servers, &options));
  else if (!url.empty())
    RETURN_IF_ERROR(SetServers("NATS_URL", url, &options));
  return options;
}

ConnectionOptions ConnectionFrom(const NatsConfig& nats) {
  ConnectionOptions options;
  options.servers = nats.urls;
  options.creds = nats.creds;
  options.nkey = nats.nkey;
  options.user = nats.user;
  options.password = nats.password;
  options.token = nats.token;
  options.tls_ca = nats.tls.ca;
  options.tls_cert = nats.tls.cert;
  options.tls_key = nats.tls.key;
  if (!nats.inbox_prefix.empty()) options.inbox_prefix = nats.inbox_prefix;
  options.domain = nats.domain;
  options.connect_timeout_ms = nats.connect_timeout_ms;
  return options;
}

}  // namespace expirer
