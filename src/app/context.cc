#include "app/context.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/ascii.h"
#include "base/duration.h"
#include "base/read_file.h"
#include "json/view.h"

namespace expirer {
namespace {

using Values = std::vector<ConfigOverride>;

std::string Variable(const Environment& getenv, const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

// Of the `nats` CLI.
std::string Directory(const Environment& getenv) {
  const std::string xdg = Variable(getenv, "XDG_CONFIG_HOME");
  return (xdg.empty() ? Variable(getenv, "HOME") + "/.config" : xdg) + "/nats";
}

// A key of the config that a flag and a member of a context set.
struct Setting {
  const char* path;
  std::string_view member;
  const char* flag;  // "" = none
  const char* help;
  bool is_file = false;
};
constexpr Setting kSettings[] = {
    {"nats.url", "url", "-s,--server", "NATS servers, comma-separated (NATS_URL)"},
    {"nats.user", "user", "--user", "user name (NATS_USER)"},
    {"nats.password", "password", "--password", "password (NATS_PASSWORD)"},
    {"nats.creds", "creds", "--creds", "credentials file (NATS_CREDS)", true},
    {"nats.nkey", "nkey", "--nkey", "nkey seed file (NATS_NKEY)", true},
    {"nats.tls.ca", "ca", "--tlsca", "CA certificates, PEM (NATS_CA)", true},
    {"nats.tls.cert", "cert", "--tlscert", "client certificate, PEM (NATS_CERT)", true},
    {"nats.tls.key", "key", "--tlskey", "client key, PEM (NATS_KEY)", true},
    {"nats.inbox_prefix", "inbox_prefix", "--inbox-prefix",
     "of the subjects that answers come to (_INBOX)"},
    {"nats.token", "token", "", ""},
    {"nats.domain", "jetstream_domain", "", ""},
};

// `~` is written by people, not by the `nats` CLI, which takes it all the same.
std::string Expand(const std::string& path, const Environment& getenv) {
  return path.starts_with("~/") ? Variable(getenv, "HOME") + path.substr(1) : path;
}

absl::StatusOr<Values> ReadContext(const std::string& context,
                                   const Environment& getenv) {
  const std::string origin = "context " + context;
  if (context.find('/') != context.npos)
    return Invalid(origin + ": expected a name without /");
  const std::string path = Directory(getenv) + "/context/" + context + ".json";
  const auto text = ReadFile(path);
  if (!text.ok())
    return MakeStatus(text.status().code(),
                      fmt::format("{}: {}; expected one that `nats context ls` shows",
                                  origin, Message(text.status())));
  const auto members = JsonMembers(*text);
  if (!members.ok()) return Annotate(members.status(), origin + ": " + path);
  Values values;
  for (const auto& [name, value] : *members) {
    if (value.kind != JsonValue::Kind::kString) continue;
    std::string scratch;
    const auto decoded = JsonText(value, &scratch);
    if (!decoded.ok() || decoded->empty()) continue;
    const std::string given(*decoded);
    for (const Setting& one : kSettings)
      if (one.member == name)
        values.push_back({one.path, one.is_file ? Expand(given, getenv) : given,
                          fmt::format("{}: {}", origin, name)});
  }
  return values;
}

Values FlagOverrides(const ClientFlags& flags) {
  Values values;
  for (const Setting& one : kSettings) {
    const auto given = flags.values.find(one.path);
    const std::string_view flag = one.flag;
    if (given != flags.values.end() && !given->second.empty())
      values.push_back(
          {one.path, given->second, std::string(flag.substr(flag.find("--")))});
  }
  return values;
}

// Appends `source` to `values`. If `source` says who we are, it removes the values that
// say so in another form: the server would be told both, and choose.
void Append(Values source, Values* values) {
  const auto find = [&source](std::string_view path) {
    return std::find_if(source.begin(), source.end(),
                        [path](const ConfigOverride& one) { return one.path == path; });
  };
  static constexpr const char* kForms[] = {"nats.creds", "nats.nkey", "nats.token",
                                           "nats.user"};
  const auto* const form =
      std::find_if(std::begin(kForms), std::end(kForms),
                   [&](const char* path) { return find(path) != source.end(); });
  if (form != std::end(kForms)) {
    const std::string origin = find(*form)->origin;
    for (const char* path : kForms)
      if (find(path) == source.end()) values->push_back({path, "", origin});
    // The password may come from elsewhere than its user.
    if (find("nats.user") == source.end() && find("nats.password") == source.end())
      values->push_back({"nats.password", "", origin});
  }
  std::move(source.begin(), source.end(), std::back_inserter(*values));
}

// The context selected for the `nats` CLI; none if its file is gone.
absl::StatusOr<Values> ReadSelected(const Environment& getenv) {
  const auto selected = ReadFile(Directory(getenv) + "/context.txt");
  std::string name = selected.value_or("");
  absl::StripAsciiWhitespace(&name);
  if (name.empty()) return Values();
  auto values = ReadContext(name, getenv);
  if (absl::IsNotFound(values.status())) return Values();
  return values;
}

// `selected`: without a named context, the one that is selected counts.
absl::StatusOr<Values> ReadAll(const ClientFlags& flags, const Environment& getenv,
                               bool selected) {
  const std::string named =
      flags.context.empty() ? Variable(getenv, "NATS_CONTEXT") : flags.context;
  absl::StatusOr<Values> context = Values();
  if (!named.empty())
    context = ReadContext(named, getenv);
  else if (selected)
    context = ReadSelected(getenv);
  if (!context.ok()) return context;
  Values values;
  Append(*std::move(context), &values);
  Append(EnvironmentOverrides(getenv), &values);
  Append(FlagOverrides(flags), &values);
  return values;
}

}  // namespace

void AddClientFlags(CLI::App* command, ClientFlags* flags) {
  for (const Setting& one : kSettings) {
    if (*one.flag != '\0')
      command->add_option(one.flag, flags->values[one.path], one.help);
    if (&one == kSettings)
      command->add_option("--context", flags->context,
                          "context of the nats CLI (NATS_CONTEXT)");
  }
}

absl::StatusOr<int64_t> ParseTimeout(const std::string& text) {
  const auto timeout_ms = ParseDuration(text);
  if (!timeout_ms.ok() || *timeout_ms <= 0)
    return Invalid("--timeout: expected a duration such as 5s");
  return *timeout_ms;
}

absl::StatusOr<Values> Overrides(const ClientFlags& flags, const Environment& getenv) {
  return ReadAll(flags, getenv, /*selected=*/false);
}

absl::StatusOr<ConnectionOptions> ClientOptions(const ClientFlags& flags,
                                                const Environment& getenv) {
  ASSIGN_OR_RETURN(Values values, ReadAll(flags, getenv, /*selected=*/true));
  // EXPIRER_LOG_LEVEL and its like are the service's.
  std::erase_if(values,
                [](const ConfigOverride& one) { return !one.path.starts_with("nats."); });
  Config config = DefaultConfig();
  const std::vector<std::string> errors = ApplyOverrides(&config, values);
  if (!errors.empty()) return Invalid(errors.front());
  RETURN_IF_ERROR(CheckTls(config));
  return config.nats;
}

}  // namespace expirer
