#include "net/connection_options.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "base/coding.h"
#include "base/read_file.h"
#include "net/nats_handle.h"

namespace expirer {
namespace {

std::string Trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ')
    text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ')
    text.remove_suffix(1);
  return std::string(text);
}

absl::StatusOr<std::string> Read(const std::string& what, const std::string& path) {
  auto text = ReadFile(path);
  if (!text.ok()) return Unavailable(what + " " + Message(text.status()));
  return text;
}

// The first line of `text` that is a word of `length` (0: any) and begins so; "" = none.
std::string FindLine(std::string_view text, std::string_view begin, size_t length) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string line = Trimmed(text.substr(0, end));
    if (line.starts_with(begin) && (length == 0 || line.size() == length)) return line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return "";
}

constexpr size_t kSeedLength = 58;
constexpr size_t kPublicKeyLength = 56;

absl::Status CheckIdentityFiles(const ConnectionOptions& options) {
  if (!options.creds.empty()) {
    ASSIGN_OR_RETURN(const std::string text, Read("credentials file", options.creds));
    if (FindLine(text, "eyJ", 0).empty() || FindLine(text, "SU", kSeedLength).empty())
      return Unavailable("credentials file " + options.creds +
                         " needs a user's JWT (eyJ...) and the seed of its key (SU...), "
                         "as `nsc generate creds` writes them");
  }
  if (options.nkey.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text, Read("nkey file", options.nkey));
  if (FindLine(text, "SU", kSeedLength).empty() ||
      FindLine(text, "U", kPublicKeyLength).empty())
    return Unavailable("nkey file " + options.nkey +
                       " needs a user's seed (SU...) and, on a line of its own, the "
                       "public key (U...), as `nsc generate nkey --user` writes them");
  return absl::OkStatus();
}

// natsOptions_SetNKey's way to sign the server's nonce; the closure is the path
// of the nkey file.
natsStatus SignNonce(char** error, unsigned char** signature, int* length,
                     const char* nonce, void* closure) {
  std::string text = ReadFile(*static_cast<const std::string*>(closure)).value_or("");
  std::string seed = FindLine(text, "SU", kSeedLength);
  const natsStatus s = nats_Sign(seed.c_str(), nonce, signature, length);
  for (std::string* secret : {&text, &seed})
    std::fill(secret->begin(), secret->end(), '\0');
  if (s != NATS_OK) *error = strdup("cannot sign with the nkey file's seed");
  return s;
}

absl::Status ApplyNKey(const std::string& path, natsOptions* out) {
  const std::string public_key =
      FindLine(ReadFile(path).value_or(""), "U", kPublicKeyLength);
  if (public_key.empty()) {
    return Unavailable(
        "nkey file " + path +
        " needs the public key (U...) on a line of its own beside the seed");
  }
  return FromNats(natsOptions_SetNKey(out, public_key.c_str(), SignNonce,
                                      const_cast<std::string*>(&path)),
                  "nkey " + path);
}

// What stands before the @ of a server's URL.
std::string LoginText(std::string_view server) {
  if (const size_t scheme = server.find("://"); scheme != server.npos)
    server.remove_prefix(scheme + 3);
  return std::string(
      server.substr(0, server.rfind('@') + 1 == 0 ? 0 : server.rfind('@')));
}

// Whether the servers' logins differ: then nats.c reads them from the URLs.
bool LoginsDiffer(const std::vector<std::string>& servers) {
  std::set<std::string> logins;
  for (const std::string& server : servers)
    if (std::string login = LoginText(server); !login.empty())
      logins.insert(std::move(login));
  return logins.size() > 1;
}

absl::Status ApplyIdentity(const ConnectionOptions& options, const UrlLogin& url,
                           natsOptions* out) {
  if (!options.creds.empty()) {
    RETURN_IF_ERROR(FromNats(
        natsOptions_SetUserCredentialsFromFiles(out, options.creds.c_str(), nullptr),
        "credentials " + options.creds));
  }
  if (!options.nkey.empty()) RETURN_IF_ERROR(ApplyNKey(options.nkey, out));
  natsStatus s = NATS_OK;
  const bool by_url = !url.user.empty() || !url.token.empty();
  const std::string& user = by_url ? url.user : options.user;
  const std::string& password = by_url ? url.password : options.password;
  const std::string& token = by_url ? url.token : options.token;
  if (!user.empty()) s = natsOptions_SetUserInfo(out, user.c_str(), password.c_str());
  if (s == NATS_OK && !token.empty()) s = natsOptions_SetToken(out, token.c_str());
  return FromNats(s, "user or token");
}

absl::Status ApplyTls(const ConnectionOptions& options, natsOptions* out) {
  if (!options.tls_ca.empty()) {
    RETURN_IF_ERROR(
        FromNats(natsOptions_LoadCATrustedCertificates(out, options.tls_ca.c_str()),
                 "TLS ca " + options.tls_ca));
  }
  if (!options.tls_cert.empty() || !options.tls_key.empty()) {
    RETURN_IF_ERROR(
        FromNats(natsOptions_LoadCertificatesChain(out, options.tls_cert.c_str(),
                                                   options.tls_key.c_str()),
                 "TLS cert " + options.tls_cert + " with key " + options.tls_key));
  }
  return FromNats(natsOptions_SetSecure(out, true), "TLS");
}

}  // namespace

std::vector<std::string> SplitServers(std::string_view list) {
  std::vector<std::string> servers;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (std::string one = Trimmed(list.substr(0, comma)); !one.empty()) {
      servers.push_back(std::move(one));
    }
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return servers;
}

std::string WithoutLogins(std::string_view servers) {
  std::string out;
  for (size_t at = 0; at <= servers.size();) {
    const size_t comma = std::min(servers.find(',', at), servers.size());
    std::string_view server = servers.substr(at, comma - at);
    at = comma + 1;
    if (!out.empty()) out += ',';
    const size_t login_end = server.rfind('@');
    if (login_end != server.npos) {
      const size_t scheme = server.find("://");
      if (scheme != server.npos && scheme < login_end)
        out += server.substr(0, scheme + 3);
      out += "(hidden)";
      server.remove_prefix(login_end);
    }
    out += server;
  }
  return out;
}

UrlLogin LoginOf(const std::vector<std::string>& servers) {
  for (const std::string& server : servers) {
    const std::string login = LoginText(server);
    if (login.empty()) continue;
    const size_t colon = login.find(':');
    if (colon == login.npos) return {"", "", PercentDecoded(login)};
    return {PercentDecoded(login.substr(0, colon)),
            PercentDecoded(login.substr(colon + 1)), ""};
  }
  return {};
}

std::string NormalizeServer(std::string_view server, bool* secure) {
  const std::string trimmed = Trimmed(server);
  const size_t scheme_end = trimmed.find("://");
  if (scheme_end == std::string::npos) return "nats://" + trimmed;
  const std::string scheme = trimmed.substr(0, scheme_end);
  std::string rest = trimmed.substr(scheme_end + 3);
  while (!rest.empty() && rest.back() == '/') rest.pop_back();
  if (scheme == "tls") *secure = true;
  return (scheme == "tls" ? "tls://" : "nats://") + rest;
}

absl::Status CheckSecretFiles(const ConnectionOptions& options) {
  RETURN_IF_ERROR(CheckIdentityFiles(options));
  for (const auto& [what, path] : {std::pair("TLS ca", options.tls_ca),
                                   {"TLS cert", options.tls_cert},
                                   {"TLS key", options.tls_key}})
    if (!path.empty()) RETURN_IF_ERROR(Read(what, path).status());
  if (options.tls_ca.empty() && options.tls_cert.empty()) return absl::OkStatus();
  natsOptions* raw = nullptr;
  RETURN_IF_ERROR(FromNats(natsOptions_Create(&raw), "connection options"));
  const NatsOptions scratch(raw);
  return ApplyTls(options, scratch.get());
}

absl::Status ApplyOptions(const ConnectionOptions& options,
                          const std::vector<std::string>& discovered,
                          const std::string& name, natsOptions* out, bool* secure) {
  *secure = !options.tls_ca.empty() || !options.tls_cert.empty();
  // Old versions of nats.c do not decode a URL's login, so it is taken out.
  const bool differ = LoginsDiffer(options.servers);
  std::vector<std::string> servers;
  for (const std::string& server : options.servers) {
    std::string url = NormalizeServer(server, secure);
    if (!differ && url.find('@') != url.npos)
      url.erase(url.find("://") + 3, url.rfind('@') - url.find("://") - 2);
    servers.push_back(std::move(url));
  }
  for (const std::string& server : discovered) {
    servers.push_back(NormalizeServer(server, secure));
  }
  std::vector<const char*> urls;
  for (const std::string& server : servers) urls.push_back(server.c_str());
  RETURN_IF_ERROR(FromNats(
      FirstError(natsOptions_SetServers(out, urls.data(), static_cast<int>(urls.size())),
                 natsOptions_SetName(out, name.c_str()),
                 natsOptions_SetTimeout(out, options.connect_timeout_ms)),
      "connection options"));
  RETURN_IF_ERROR(
      ApplyIdentity(options, differ ? UrlLogin() : LoginOf(options.servers), out));
  return *secure ? ApplyTls(options, out) : absl::OkStatus();
}

}  // namespace expirer
