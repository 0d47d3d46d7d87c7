// How expirer shows the server who it is, and how it knows the server: with
// each kind the service becomes ready, which takes both connections and the
// JetStream API. Keys and tokens were made for these tests and open nothing.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "nats/service_world.h"
#include "support/temp_dir.h"

namespace expirer::test {
namespace {

constexpr char kSeed[] = "SUAB26XEHIYNY3P4AOIQAF5BYTTLNCBTCXHZ72JHWAL3WUT5NFHK4RANHQ";
constexpr char kPublic[] = "UBWLGGEHDPWTL2ZPBJFMQD4CHLHK52SBNESLIYTYED4LC7EFFRX63FNB";

// An operator, its system account, an account with JetStream and a user of it.
constexpr char kOperatorJwt[] =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJNNU02TFBUMzRVNFJIT"
    "kVRV0pDR0VERjY3VkxHTURQQUYzWVZJV1YySDdMVkVNUldEM01BIiwiaWF0IjoxNzk1Mzg0NjkxL"
    "CJpc3MiOiJPREoyRFBXRlhCUU9aTFZDVk1JTllFSFA2VlNJTEVBVVBWMkNRSUZOTEhPUTJXNVZRU"
    "1JCSkpZRCIsIm5hbWUiOiJ0ZXN0Iiwic3ViIjoiT0RKMkRQV0ZYQlFPWkxWQ1ZNSU5ZRUhQNlZTS"
    "UxFQVVQVjJDUUlGTkxIT1EyVzVWUVNSQkpKWUQiLCJuYXRzIjp7InN5c3RlbV9hY2NvdW50IjoiQ"
    "UNCSFhMVFNVNEwyWllNU1JCTlBXTkwyUVVRWlJYUlhBQTVBS0YySUlPQzdTRUpKUjZHM0pYRFEiL"
    "CJ0eXBlIjoib3BlcmF0b3IiLCJ2ZXJzaW9uIjoyfX0.gIdcfyC2H0_IIkczYruNIlcyxXbBNrM4k"
    "KJT1EF2NVdNPZKNBrYIBcpwyC8XxPh-wNFVKl59bqv5uc7qaMgwAw";
constexpr char kSystemId[] = "ACBHXLTSU4L2ZYMSRBNPWNL2QUQZRXRXAA5AKF2IIOC7SEJJR6G3JXDQ";
constexpr char kSystemJwt[] =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiIzU0ZKVkVXMkgyVktTU"
    "1NUVEs0TTY1Q0xPQ0RWSlFZNElQMk1RWjZPU1hUREJQRU5KRkpBIiwiaWF0IjoxNzk1Mzg0NjkxL"
    "CJpc3MiOiJPREoyRFBXRlhCUU9aTFZDVk1JTllFSFA2VlNJTEVBVVBWMkNRSUZOTEhPUTJXNVZRU"
    "1JCSkpZRCIsIm5hbWUiOiJTWVMiLCJzdWIiOiJBQ0JIWExUU1U0TDJaWU1TUkJOUFdOTDJRVVFaU"
    "lhSWEFBNUFLRjJJSU9DN1NFSkpSNkczSlhEUSIsIm5hdHMiOnsibGltaXRzIjp7InN1YnMiOi0xL"
    "CJkYXRhIjotMSwicGF5bG9hZCI6LTEsImltcG9ydHMiOi0xLCJleHBvcnRzIjotMSwid2lsZGNhc"
    "mRzIjp0cnVlLCJjb25uIjotMSwibGVhZiI6LTF9LCJkZWZhdWx0X3Blcm1pc3Npb25zIjp7InB1Y"
    "iI6e30sInN1YiI6e319LCJhdXRob3JpemF0aW9uIjp7ImF1dGhfdXNlcnMiOm51bGx9LCJ0eXBlI"
    "joiYWNjb3VudCIsInZlcnNpb24iOjJ9fQ.jDW6T9iJBZv44DIJAQ5V7GS-UtFFKqHq8BP7vdE7jj"
    "mYtERSl1LNFEWNwITpA7ISOZp3g9EeiLy7-M8Wkx07BA";
constexpr char kAccountId[] = "AAOIKB67C5AYMN2XMXXL7X5GDFDJ5PB4PDV2TOOJS7C7WIGH73CA6UXY";
constexpr char kAccountJwt[] =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJGN1BNU0RJUVdJWEtOV"
    "lk2VjNOS0ZGUkdRWVZRWlhERTMyUlg0NUdZQVBEUFRFUzVEWlJBIiwiaWF0IjoxNzk1Mzg0NjkxL"
    "CJpc3MiOiJPREoyRFBXRlhCUU9aTFZDVk1JTllFSFA2VlNJTEVBVVBWMkNRSUZOTEhPUTJXNVZRU"
    "1JCSkpZRCIsIm5hbWUiOiJBUFAiLCJzdWIiOiJBQU9JS0I2N0M1QVlNTjJYTVhYTDdYNUdERkRKN"
    "VBCNFBEVjJUT09KUzdDN1dJR0g3M0NBNlVYWSIsIm5hdHMiOnsibGltaXRzIjp7InN1YnMiOi0xL"
    "CJkYXRhIjotMSwicGF5bG9hZCI6LTEsImltcG9ydHMiOi0xLCJleHBvcnRzIjotMSwid2lsZGNhc"
    "mRzIjp0cnVlLCJjb25uIjotMSwibGVhZiI6LTEsIm1lbV9zdG9yYWdlIjotMSwiZGlza19zdG9yY"
    "WdlIjotMSwic3RyZWFtcyI6LTEsImNvbnN1bWVyIjotMSwibWF4X2Fja19wZW5kaW5nIjotMX0sI"
    "mRlZmF1bHRfcGVybWlzc2lvbnMiOnsicHViIjp7fSwic3ViIjp7fX0sImF1dGhvcml6YXRpb24iO"
    "nsiYXV0aF91c2VycyI6bnVsbH0sInR5cGUiOiJhY2NvdW50IiwidmVyc2lvbiI6Mn19.GtVyq1Sp"
    "GQCh2HDRm2dSaW9XHJoVabJ7hm8_iEMyQaL_VsTGWtp-RksCnOasop0w1S0zYdS2A7WIIrvCC1MM"
    "DQ";
constexpr char kUserJwt[] =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJBM1BNT1lTTUVZRDNXV"
    "UhLRVFNQ0hTM1JKSjVOMlRPSkVPTjZBTE1USlFLQjc3REU3UUpRIiwiaWF0IjoxNzk1Mzg0NjkxL"
    "CJpc3MiOiJBQU9JS0I2N0M1QVlNTjJYTVhYTDdYNUdERkRKNVBCNFBEVjJUT09KUzdDN1dJR0g3M"
    "0NBNlVYWSIsIm5hbWUiOiJleHBpcmVyIiwic3ViIjoiVURKTk1ST05ZSERaUkFUQkdWSlBQQVNOW"
    "FNHR1NISUpKU0M1WjNOM1ZTTkNKSVBaVFBJQ0kyS0YiLCJuYXRzIjp7InB1YiI6e30sInN1YiI6e"
    "30sInN1YnMiOi0xLCJkYXRhIjotMSwicGF5bG9hZCI6LTEsInR5cGUiOiJ1c2VyIiwidmVyc2lvb"
    "iI6Mn19.Pot6Lu7P2IhsenQ6yxhyJ1BlNmQ1uf9gAl5e-auKpqmZBdlEiLVo2L4KGWPRo6_aj0KE"
    "ZXMTfVWR3jzpCSimBQ";
constexpr char kUserPublic[] = "UDJNMRONYHDZRATBGVJPPASNXSGGSHIJJSC5Z3N3VSNCJIPZTPICI2KF";
constexpr char kUserSeed[] = "SUAF6FD2LSXOHC7PQXBK4N7RH6QOWC3YUDEIKTC46MNN3L7DOJ4QGBZVSE";

void Write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  ASSERT_TRUE(file.flush()) << path;
}

Service::Options With(const NatsServer& server, const std::string& nats) {
  Service::Options options;
  options.environment = {};
  options.config = fmt::format(R"(
nats: {{ url: "{}", {} }}
streams:
  - {{ name: TICKETING, subjects: ["order:created", "expiration:complete"] }}
rules:
  - name: order-expiration
    schedule: {{ subject: "order:created", key: /id, due: /expiresAt }}
    publish: {{ subject: "expiration:complete", body: '${{key}}' }}
)",
                               server.url(), nats);
  return options;
}

// A CA, a server's certificate for 127.0.0.1, one for another host, one that has
// expired, and a client's, made by openssl.
class Certificates {
 public:
  Certificates() {
    for (const char* name : {"server", "expired"})
      Write(dir_.path() + "/" + name + ".ext", "subjectAltName=IP:127.0.0.1\n");
    Write(dir_.path() + "/elsewhere.ext",
          "subjectAltName=DNS:nats.example.com,IP:192.0.2.7\n");
    Write(dir_.path() + "/client.ext", "extendedKeyUsage=clientAuth\n");
    Write(dir_.path() + "/ca.conf",
          "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\n"
          "default_md = sha256\nrand_serial = yes\npolicy = any\n[any]\n"
          "commonName = supplied\n");
    Write(dir_.path() + "/index", "");
    for (const char* ca : {"ca", "other"})
      Openssl(
          fmt::format("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={0} -keyout "
                      "{0}.key -out {0}.crt",
                      ca));
    for (const std::string name : {"server", "elsewhere", "expired", "client"}) {
      Openssl(
          fmt::format("req -newkey rsa:2048 -nodes -subj /CN={0} -keyout {0}.key -out "
                      "{0}.csr",
                      name));
      // As a CA: since 3.5 openssl's x509 makes no certificate that has expired.
      Openssl(fmt::format(
          "ca -config ca.conf -batch -notext -cert ca.crt -keyfile ca.key "
          "-in {0}.csr {1} -extfile {0}.ext -out {0}.crt",
          name,
          name == "expired" ? "-startdate 20200101000000Z -enddate 20200201000000Z"
                            : "-days 2"));
    }
  }
  [[nodiscard]] std::string operator()(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  // nats-server's section; `verify` asks clients for a certificate.
  [[nodiscard]] std::string Server(bool verify,
                                   const std::string& name = "server") const {
    return fmt::format(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: {} }}",
        (*this)(name + ".crt"), (*this)(name + ".key"), (*this)("ca.crt"), verify);
  }

 private:
  void Openssl(const std::string& args) {
    const std::string command =
        "cd " + dir_.path() + " && openssl " + args + " 2>>openssl.log";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  const TempDir dir_;
};

size_t Count(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++count;
  return count;
}

std::string NKeyServer(const std::string& key) {
  return fmt::format("authorization {{ users = [ {{ nkey: {} }} ] }}", key);
}

TEST(ServiceAuth, UserAndPassword) {
  NatsServer server({.config = "authorization { user: app, password: secret }"});
  Service service(With(server, "user: app, password: secret"));
  service.StartReady();
}

TEST(ServiceAuth, Token) {
  NatsServer server({.config = "authorization { token: s3cr3t }"});
  Service service(With(server, "token: s3cr3t"));
  service.StartReady();
}

// As `nats` takes it.
TEST(ServiceAuth, ALoginInTheUrlIsPercentDecoded) {
  NatsServer server({.config = "authorization { user: app, password: \"pa$$word!\" }"});
  const std::string url = server.url();
  const std::string at = url.substr(url.rfind('/') + 1);
  Service service({.url = "nats://app:pa%24%24word!@" + at});
  service.Start();
  EXPECT_TRUE(service.WaitLog("connected to NATS", 20'000)) << service.Log();
  EXPECT_EQ(service.Log().find("word!"), std::string::npos) << "it is shown";
  Service wrong({.url = "nats://app:wr%24ng@" + at});
  wrong.Start();
  EXPECT_TRUE(wrong.WaitLog("with the user and password of the URL")) << wrong.Log();
}

TEST(ServiceAuth, AHostThatDnsDoesNotKnowIsSaid) {
  Service service({.url = "nats://nats.invalid:4222"});
  service.Start();
  EXPECT_TRUE(service.WaitLog("DNS: the host nats.invalid cannot be resolved", 30'000))
      << service.Log();
}

TEST(ServiceAuth, AServerThatTakesNoMoreConnectionsIsSaid) {
  // The service makes two of its own.
  NatsServer server({.config = "max_connections: 1"});
  Service service({.url = server.url()});
  service.Start();
  EXPECT_TRUE(service.WaitLog("the server says: maximum connections exceeded", 20'000))
      << service.Log();
}

TEST(ServiceAuth, WrongPasswordIsSaidWithoutBeingShown) {
  NatsServer server({.config = "authorization { user: app, password: secret }"});
  Service service(With(server, "user: app, password: wr0ng-one"));
  service.Start();
  EXPECT_TRUE(service.WaitLog("Authorization Violation")) << service.Log();
  EXPECT_EQ(service.Log().find("wr0ng-one"), std::string::npos);
}

TEST(ServiceAuth, NKey) {
  NatsServer server({.config = NKeyServer(kPublic)});
  const TempDir dir;
  Write(dir.path() + "/nkey", fmt::format("{}\n{}\n", kSeed, kPublic));
  Service service(With(server, fmt::format("nkey: \"{}/nkey\"", dir.path())));
  service.StartReady();
}

std::string CredsServer() {
  return fmt::format(
      "operator: {}\nsystem_account: {}\nresolver: MEMORY\n"
      "resolver_preload: {{ {}: {}, {}: {} }}",
      kOperatorJwt, kSystemId, kSystemId, kSystemJwt, kAccountId, kAccountJwt);
}

std::string Creds(const std::string& seed) {
  return fmt::format(
      "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n"
      "-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
      kUserJwt, seed);
}

TEST(ServiceAuth, Creds) {
  NatsServer server({.config = CredsServer()});
  const TempDir dir;
  Write(dir.path() + "/app.creds", Creds(kUserSeed));
  Service service(With(server, fmt::format("creds: \"{}/app.creds\"", dir.path())));
  service.StartReady();
}

// As Kubernetes and most secret stores do it: the file is replaced, and the
// server no longer takes the old secret.
TEST(ServiceAuth, NKeyThatIsRotatedInPlaceCountsFromTheNextConnectOn) {
  NatsServer server({.config = NKeyServer(kPublic)});
  const TempDir dir;
  Write(dir.path() + "/nkey", fmt::format("{}\n{}\n", kSeed, kPublic));
  Service service(With(server, fmt::format("nkey: \"{}/nkey\"", dir.path())));
  service.StartReady();
  server.Stop();
  server.SetConfig(NKeyServer(kUserPublic));
  server.Start();
  ASSERT_TRUE(service.WaitLog("Authorization Violation")) << service.Log();
  Write(dir.path() + "/new", fmt::format("{}\n{}\n", kUserSeed, kUserPublic));
  std::filesystem::rename(dir.path() + "/new", dir.path() + "/nkey");
  // Both connections, a second time.
  EXPECT_TRUE(WaitFor([&] { return Count(service.Log(), "connected to NATS") == 4; }))
      << service.Log();
  EXPECT_EQ(service.Log().find(kSeed), std::string::npos);
  EXPECT_EQ(service.Log().find(kUserSeed), std::string::npos);
}

TEST(ServiceAuth, CredsThatAreRotatedInPlaceCountFromTheNextConnectOn) {
  NatsServer server({.config = CredsServer()});
  const TempDir dir;
  Write(dir.path() + "/app.creds", Creds(kSeed));  // not that user's
  Service service(With(server, fmt::format("creds: \"{}/app.creds\"", dir.path())));
  service.Start();
  ASSERT_TRUE(service.WaitLog("Authorization Violation")) << service.Log();
  EXPECT_NE(service.Log().find("with credentials file " + dir.path() + "/app.creds"),
            std::string::npos);
  Write(dir.path() + "/app.creds", Creds(kUserSeed));
  EXPECT_TRUE(service.WaitReady()) << service.Log();
  EXPECT_EQ(service.Log().find(kSeed), std::string::npos);
  EXPECT_EQ(service.Log().find(kUserSeed), std::string::npos);
}

// The config's address is nobody's.
TEST(ServiceAuth, AContextSaysWhereAndWhoAndFlagsGoBeforeIt) {
  NatsServer server({.config = "authorization { user: app, password: secret }"});
  const TempDir home;
  std::filesystem::create_directories(home.path() + "/nats/context");
  const auto put = [&](const std::string& context, const std::string& who) {
    Write(home.path() + "/nats/context/" + context + ".json",
          fmt::format(R"({{"url":"{}",{}}})", server.url(), who));
  };
  put("login", R"("user":"app","password":"secret")");
  put("creds", R"("creds":"/none/app.creds")");
  Service::Options options = With(server, "token: t");
  options.config.replace(options.config.find(server.url()), server.url().size(),
                         "nats://127.0.0.1:1");
  options.environment = {{"XDG_CONFIG_HOME", home.path()}, {"NATS_CONTEXT", "creds"}};
  Service service(options);
  service.SetFlags({"--context", "login"});
  service.StartReady();
  ASSERT_EQ(service.Term(), 0);
  service.SetFlags({"--user", "app", "--password", "secret"});
  service.StartReady();
  const Environment gone = {{"XDG_CONFIG_HOME", home.path()}, {"NATS_CONTEXT", "gone"}};
  const Outcome refused = RunExpirer({"serve"}, gone);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.output.find("nats/context/gone.json cannot be read"),
            std::string::npos)
      << refused.output;
  for (const char* other : {"doctor", "ls"})
    EXPECT_EQ(RunExpirer({other, "--context", "gone"}, gone).code, 2);
  // What needs no connection needs no context.
  EXPECT_EQ(RunExpirer({"health", "--store", service.store()}, gone).code, 0);
}

TEST(ServiceAuth, ConfigShowTellsWhatCameFromAContextAndNoSecretOfIt) {
  const TempDir home;
  std::filesystem::create_directories(home.path() + "/nats/context");
  Write(home.path() + "/nats/context/mine.json",
        R"({"url":"nats://u:s3cret@h:1","token":"s3cret"})");
  const Outcome shown = RunExpirer({"config", "show", "--context", "mine"},
                                   {{"XDG_CONFIG_HOME", home.path()}});
  EXPECT_EQ(shown.code, 0);
  EXPECT_NE(shown.output.find("nats.url: \"nats://(hidden)@h:1\"  # context mine: url\n"),
            std::string::npos)
      << shown.output;
  EXPECT_NE(shown.output.find("nats.token: \"(hidden)\"  # context mine: token\n"),
            std::string::npos);
  EXPECT_EQ(shown.output.find("s3cret"), std::string::npos);
}

TEST(ServiceAuth, HalfAPairIsAnErrorOnceAllSourcesAreKnown) {
  const TempDir dir;
  const std::string file = dir.path() + "/f.yaml";
  Write(file, "nats: { tls: { cert: c.pem } }\n");
  const Outcome half = RunExpirer({"config", "show", file});
  EXPECT_EQ(half.code, 2);
  const std::string says =
      "nats.tls: expected cert and key together, found only cert (by " + file + ":1)\n";
  EXPECT_NE(half.output.find(says), std::string::npos) << half.output;
  EXPECT_EQ(RunExpirer({"config", "show", file, "--tlskey", "k"}).code, 0);
  EXPECT_EQ(RunExpirer({"config", "show", file}, {{"NATS_KEY", "k"}}).code, 0);
  const Outcome alone = RunExpirer({"config", "check", file}, {{"NATS_KEY", "k"}});
  EXPECT_EQ(alone.code, 2) << "it looks at the file alone";
  EXPECT_NE(alone.output.find(":1:14: nats.tls: expected"), std::string::npos);
  for (const char* flag : {"--tlscert", "--tlskey"})
    for (const char* command : {"serve", "doctor", "ls"})
      EXPECT_EQ(RunExpirer({command, flag, "x"}).code, 2) << command << flag;
}

TEST(ServiceAuth, TlsWithAnOwnCa) {
  const Certificates certs;
  NatsServer server({.config = certs.Server(false)});
  Service service(With(server, fmt::format("tls: {{ ca: \"{}\" }}", certs("ca.crt"))));
  service.StartReady();
}

// Who must not be talked to: by the certificate the server shows, the authority
// that we trust, whether the server asks for a certificate of ours, and what is
// said of it.
struct Untrusted {
  const char* name;
  const char* certificate;
  const char* ca;
  bool asks;
  const char* says;
};

class ServiceTls : public testing::TestWithParam<Untrusted> {};

TEST_P(ServiceTls, IsRefusedAndSaid) {
  const Certificates certs;
  NatsServer server({.config = certs.Server(GetParam().asks, GetParam().certificate)});
  Service service(
      With(server, fmt::format("tls: {{ ca: \"{}\" }}", certs(GetParam().ca))));
  service.Start();
  EXPECT_TRUE(service.WaitLog(GetParam().says)) << service.Log();
  EXPECT_FALSE(service.WaitReady(0));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ServiceTls,
    testing::Values(Untrusted{"UnknownAuthority", "server", "other.crt", false,
                              "local issuer"},
                    Untrusted{"WrongHost", "elsewhere", "ca.crt", false, "mismatch"},
                    Untrusted{"Expired", "expired", "ca.crt", false, "expired"},
                    Untrusted{"MissingClientCertificate", "server", "ca.crt", true,
                              "does the server ask for one?"}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(ServiceAuth, TlsWithAClientCertificateWhereTheServerAsksForOne) {
  const Certificates certs;
  NatsServer server({.config = certs.Server(true)});
  Service service(With(
      server, fmt::format("tls: {{ ca: \"{}\", cert: \"{}\", key: \"{}\" }}",
                          certs("ca.crt"), certs("client.crt"), certs("client.key"))));
  service.StartReady();
}

// A file that is not there or not what it should be, by its option, and what is
// said of it.
struct Unusable {
  const char* option;
  const char* says;
};
constexpr Unusable kUnusable[] = {
    {R"(creds: "DIR/none")", "none cannot be read"},
    {R"(creds: "DIR")", "Is a directory"},
    {R"(creds: "DIR/seed")", "needs a user's JWT"},
    {R"(nkey: "DIR/none")", "none cannot be read"},
    {R"(nkey: "DIR/seed")", "public key (U...)"},
    {R"(tls: { ca: "DIR/none" })", "none cannot be read"},
    {R"(tls: { ca: "DIR/text" })", "TLS ca "},
    {R"(tls: { cert: "DIR/none", key: "DIR/client.key" })", "none cannot be read"},
    {R"(tls: { cert: "DIR/client.crt", key: "DIR/server.key" })", "key values mismatch"},
};

TEST(ServiceAuth, ASecretFileThatCannotServeIsRefusedBeforeAnythingIsWritten) {
  const Certificates certs;
  NatsServer server;
  Write(certs("text"), "no secret of any kind\n");
  Write(certs("seed"), std::string(kSeed) + "\n");
  for (const Unusable& one : kUnusable) {
    SCOPED_TRACE(one.option);
    std::string option = one.option;
    for (size_t at = 0; (at = option.find("DIR", at)) != option.npos;)
      option.replace(at, 3, certs(""));
    Service service(With(server, option));
    service.Start();
    EXPECT_EQ(service.WaitExit(), 1);
    EXPECT_NE(service.Log().find("expirer does not start"), std::string::npos);
    EXPECT_NE(service.Log().find(one.says), std::string::npos) << service.Log();
    EXPECT_EQ(service.Log().find(kSeed), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(service.store()));
  }
}

// As after a Secret was deleted: the next connect waits for it, and does not end
// a service that has jobs.
TEST(ServiceAuth, CredsThatVanishWhileItRunsAreWaitedFor) {
  NatsServer server({.config = CredsServer()});
  const TempDir dir;
  Write(dir.path() + "/app.creds", Creds(kUserSeed));
  Service service(With(server, fmt::format("creds: \"{}/app.creds\"", dir.path())));
  service.StartReady();
  server.Stop();
  std::filesystem::rename(dir.path() + "/app.creds", dir.path() + "/away");
  server.Start();
  ASSERT_TRUE(service.WaitLog("cannot connect to NATS")) << service.Log();
  std::filesystem::rename(dir.path() + "/away", dir.path() + "/app.creds");
  EXPECT_TRUE(WaitFor([&] { return Count(service.Log(), "connected to NATS") == 4; }))
      << service.Log();
}

}  // namespace
}  // namespace expirer::test
