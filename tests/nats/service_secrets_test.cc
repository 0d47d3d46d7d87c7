// No secret in logs, status or error texts: each kind of secret, right and
// wrong, reaches expirer by each way there is, and nothing it writes anywhere
// holds it. Keys and tokens were made for these tests and open nothing.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "nats/service_world.h"
#include "support/temp_dir.h"

namespace expirer::test {
namespace {

constexpr char kSecret[] = "Zxq7-never-shown-4711";
constexpr char kSeed[] = "SUAB26XEHIYNY3P4AOIQAF5BYTTLNCBTCXHZ72JHWAL3WUT5NFHK4RANHQ";
constexpr char kPublic[] = "UBWLGGEHDPWTL2ZPBJFMQD4CHLHK52SBNESLIYTYED4LC7EFFRX63FNB";
// A user's claims with a signature that no server takes.
constexpr char kJwt[] =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJuYW1lIjoiZXhwaXJlciJ9.c2ln";

// What must be found nowhere: a part of the secret long enough to be no chance.
std::vector<std::string> Parts(const std::string& secret) {
  return {secret.substr(0, 12), secret.substr(secret.size() - 12)};
}

// One way a secret comes: the members of the config's `nats`, the environment,
// the flags of a command.
enum class Kind { kLogin, kToken, kKey };
struct Way {
  Kind kind;
  std::string name;
  std::string config;
  Environment environment;
  std::vector<std::string> flags;
  std::vector<std::string> secrets;
};

void Write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  ASSERT_TRUE(file.flush()) << path;
}

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string ConfigWith(const std::string& nats) {
  return fmt::format(R"(
nats: {{ connect_timeout: 200ms{} }}
streams:
  - {{ name: TICKETING, subjects: ["order:created", "expiration:complete"] }}
rules:
  - name: order-expiration
    schedule: {{ subject: "order:created", key: /id, due: /expiresAt }}
    publish: {{ subject: "expiration:complete", body: '${{key}}' }}
)",
                     nats.empty() ? "" : ", " + nats);
}

// The files of every kind of secret, and every way to hand each over. `host`
// is host:port.
class Ways {
 public:
  explicit Ways(const std::string& host) {
    const std::string url = "nats://" + host;
    const std::string login = fmt::format("nats://app:{}@{}", kSecret, host);
    const std::string token = fmt::format("nats://{}@{}", kSecret, host);
    Write(File("nkey"), fmt::format("{}\n{}\n", kSeed, kPublic));
    Write(File("creds"),
          fmt::format("-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n"
                      "\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY "
                      "SEED------\n",
                      kJwt, kSeed));
    // As files come that were copied in a hurry.
    Write(File("half-nkey"), std::string(kSeed).substr(0, 40) + "\n" + kPublic + "\n");
    Write(File("half-creds"),
          fmt::format("-----BEGIN NATS USER JWT-----\n{}\n{}\n", kJwt, kSeed));
    const std::vector<std::string> one = Parts(kSecret);
    std::vector<std::string> keys = Parts(kSeed);
    keys.push_back(std::string(kSeed).substr(20, 12));
    keys.push_back(std::string(kJwt).substr(60, 24));
    Add({Kind::kLogin,
         "password",
         fmt::format("user: app, password: {}", kSecret),
         {{"NATS_URL", url}},
         {},
         one});
    Add({Kind::kLogin,
         "password by the environment",
         "",
         {{"NATS_URL", url}, {"NATS_USER", "app"}, {"NATS_PASSWORD", kSecret}},
         {},
         one});
    Add({Kind::kLogin,
         "password by flags",
         "",
         {{"NATS_URL", url}},
         {"--user", "app", "--password", kSecret},
         one});
    Add({Kind::kToken,
         "token",
         fmt::format("token: {}", kSecret),
         {{"NATS_URL", url}},
         {},
         one});
    Add({Kind::kToken,
         "token by the environment",
         "",
         {{"NATS_URL", url}, {"NATS_TOKEN", kSecret}},
         {},
         one});
    for (const Kind kind : {Kind::kLogin, Kind::kToken}) {
      const std::string& with = kind == Kind::kLogin ? login : token;
      Add({kind, "in the config's url", fmt::format("url: \"{}\"", with), {}, {}, one});
      Add({kind, "in NATS_URL", "", {{"NATS_URL", with}}, {}, one});
      Add({kind, "in --server", "", {}, {"--server", with}, one});
      Add({kind, "beside another server", "", {{"NATS_URL", url + "," + with}}, {}, one});
    }
    std::filesystem::create_directories(File("nats/context"));
    for (const auto& [kind, who] : {std::pair(Kind::kLogin, R"("user":"app","password")"),
                                    {Kind::kToken, R"("token")"}}) {
      const std::string context = kind == Kind::kLogin ? "login" : "token";
      Write(File("nats/context/" + context + ".json"),
            fmt::format(R"({{"url":"{}",{}:"{}"}})", url, who, kSecret));
      Add({kind,
           context + " in a context",
           "",
           {{"XDG_CONFIG_HOME", dir_.path()}, {"NATS_CONTEXT", context}},
           {},
           one});
    }
    for (const std::string file : {"nkey", "half-nkey"}) {
      Add({Kind::kKey,
           file,
           fmt::format("nkey: \"{}\"", File(file)),
           {{"NATS_URL", url}},
           {},
           keys});
      Add({Kind::kKey,
           file + " by flags",
           "",
           {{"NATS_URL", url}},
           {"--nkey", File(file)},
           keys});
    }
    for (const std::string file : {"creds", "half-creds"}) {
      Add({Kind::kKey,
           file,
           fmt::format("creds: \"{}\"", File(file)),
           {{"NATS_URL", url}},
           {},
           keys});
      Add({Kind::kKey,
           file + " by flags",
           "",
           {{"NATS_URL", url}},
           {"--creds", File(file)},
           keys});
    }
  }
  [[nodiscard]] const std::vector<Way>& all() const { return all_; }

 private:
  std::string File(const std::string& name) const { return dir_.path() + "/" + name; }
  void Add(Way way) { all_.push_back(std::move(way)); }
  const TempDir dir_;
  std::vector<Way> all_;
};

void ExpectNone(const Way& way, const std::string& where, const std::string& text) {
  for (const std::string& part : way.secrets)
    EXPECT_EQ(text.find(part), std::string::npos) << way.name << ", " << where << ":\n"
                                                  << text;
}

// Every command that knows the connection, or prints the config. None gets
// beyond the connection here.
void SweepCommands(const Way& way) {
  const TempDir dir;
  const std::string file = dir.path() + "/expirer.yaml";
  Write(file, ConfigWith(way.config));
  std::vector<std::vector<std::string>> commands = {
      {"config", "show", file},
      {"doctor", "--config", file, "--store", dir.path(), "--timeout", "300ms"}};
  if (way.config.empty())  // the API's clients read no config
    commands.push_back({"ls", "--timeout", "300ms"});
  for (std::vector<std::string>& args : commands) {
    args.insert(args.end(), way.flags.begin(), way.flags.end());
    const Outcome outcome = RunExpirer(args, way.environment);
    EXPECT_FALSE(outcome.output.empty()) << way.name << ", " << args[0];
    ExpectNone(way, args[0], outcome.output);
  }
  if (way.config.empty()) return;
  ExpectNone(way, "config check", RunExpirer({"config", "check", file}).output);
  ExpectNone(way, "health", RunExpirer({"health", "--config", file}).output);
}

// The service, ready or until it said that it cannot connect, and everything it
// left on disk.
enum class Wanted { kReady, kRefused };
void SweepService(const Way& way, Wanted wanted) {
  const TempDir dir;
  Service::Options options;
  options.config = ConfigWith(way.config);
  options.store = dir.path() + "/store";
  options.flags = way.flags;
  options.flags.push_back("--adopt=new");  // the server knows an earlier store
  options.environment = way.environment;
  options.environment.emplace_back("EXPIRER_LOG_LEVEL", "debug");
  Service service(options);
  service.Start();
  // A file that lacks a part of its key ends the start, with nothing on disk.
  if (way.name.find("half-nkey") != way.name.npos) {
    EXPECT_EQ(service.WaitExit(), 1) << service.Log();
    ExpectNone(way, "serve", service.Log());
    EXPECT_FALSE(std::filesystem::exists(options.store));
    return;
  }
  EXPECT_TRUE(wanted == Wanted::kReady ? service.WaitReady()
                                       : service.WaitLog("cannot connect to NATS"))
      << way.name << "\n"
      << service.Log();
  EXPECT_TRUE(WaitFor([&] { return std::filesystem::exists(service.status_path()); }));
  EXPECT_EQ(service.Term(), 0) << service.Log();
  ExpectNone(way, "serve", service.Log());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options.store))
    if (entry.is_regular_file())
      ExpectNone(way, entry.path().string(), Slurp(entry.path().string()));
}

TEST(ServiceSecrets, NoneIsToldWhenTheServerRefusesThem) {
  NatsServer server({.config = "authorization { user: app, password: another-one }"});
  const Ways ways(fmt::format("127.0.0.1:{}", server.port()));
  for (const Way& way : ways.all()) SweepService(way, Wanted::kRefused);
}

TEST(ServiceSecrets, NoneIsToldByACommandThatTheServerRefuses) {
  NatsServer server({.config = "authorization { user: app, password: another-one }"});
  const Ways ways(fmt::format("127.0.0.1:{}", server.port()));
  for (const Way& way : ways.all()) SweepCommands(way);
}

TEST(ServiceSecrets, NoneIsToldWhereNoServerIs) {
  const Ways ways("127.0.0.1:1");
  for (const Way& way : ways.all()) {
    if (way.kind == Kind::kKey) continue;  // not asked for before a server is there
    SweepCommands(way);
    SweepService(way, Wanted::kRefused);
  }
}

TEST(ServiceSecrets, NoneIsToldWhenAllIsWell) {
  const auto sweep = [](Kind kind, const std::string& authorization) {
    NatsServer server({.config = "authorization { " + authorization + " }"});
    const Ways ways(fmt::format("127.0.0.1:{}", server.port()));
    for (const Way& way : ways.all())
      if (way.kind == kind && way.name.find("half") == way.name.npos &&
          way.name.find("creds") == way.name.npos)
        SweepService(way, Wanted::kReady);
  };
  sweep(Kind::kLogin, fmt::format("user: app, password: \"{}\"", kSecret));
  sweep(Kind::kToken, fmt::format("token: \"{}\"", kSecret));
  sweep(Kind::kKey, fmt::format("users = [ {{ nkey: {} }} ]", kPublic));
}

// A config that is refused is quoted in its errors, but for what it hides.
TEST(ServiceSecrets, NoneIsToldByTheErrorsOfAConfig) {
  const std::string secret = kSecret;
  const TempDir dir;
  const std::string file = dir.path() + "/expirer.yaml";
  for (const std::string& nats :
       {"password: [" + secret + "]", "password: {a: " + secret + "}",
        "pasword: " + secret, "password: *" + secret, "password: !x " + secret,
        "password: \"" + secret, "token: \"${" + secret + "}\"",
        "token: {" + secret + "}",
        "user: app, password: " + secret + ", token: " + secret,
        "url: \"ftp://app:" + secret + "@127.0.0.1\"",
        "url: \"nats://app:" + secret + "@a host\"",
        "url: \"nats://app:" + secret + "@host:port\"",
        "url: [\"nats://app:" + secret + "@127.0.0.1\"]"}) {
    const Way way{Kind::kLogin, nats, nats, {}, {}, Parts(secret)};
    Write(file, ConfigWith(nats));
    for (const auto& args : {std::vector<std::string>{"config", "check", file},
                             {"config", "show", file},
                             {"serve", "--config", file, "--store", dir.path() + "/s"}}) {
      // Some are no mistake to the config's reader: those end at the server.
      const Outcome outcome = RunExpirer(args, {}, 2'000);
      ExpectNone(way, args[0], outcome.output);
    }
  }
  std::filesystem::create_directories(dir.path() + "/nats/context");
  for (const std::string& context :
       {R"({"url":"ftp://app:)" + secret + "@127.0.0.1\"}",
        R"({"password":")" + secret + R"(\n"})", R"({"password":")" + secret,
        R"({"password":)" + secret + "}", R"([")" + secret + "\"]"}) {
    Write(dir.path() + "/nats/context/bad.json", context);
    const Way way{Kind::kLogin, context, "", {}, {}, Parts(secret)};
    for (const auto& args :
         {std::vector<std::string>{"config", "show"}, {"serve"}, {"ls"}}) {
      std::vector<std::string> command = args;
      command.insert(command.end(), {"--context", "bad"});
      const Outcome outcome = RunExpirer(command, {{"XDG_CONFIG_HOME", dir.path()}});
      EXPECT_EQ(outcome.code, 2) << outcome.output;
      ExpectNone(way, args[0], outcome.output);
    }
  }
  for (const std::string& url :
       {"ftp://app:" + secret + "@127.0.0.1", "nats://app:" + secret + "@a host",
        "nats://app:" + secret + "@host:port", "nats://" + secret + "@"}) {
    const Way way{Kind::kLogin, url, "", {}, {}, Parts(secret)};
    ExpectNone(way, "NATS_URL",
               RunExpirer({"config", "show"}, {{"NATS_URL", url}}).output);
    for (const std::string verb : {"ls", "doctor"}) {
      ExpectNone(way, verb,
                 RunExpirer({verb, "--timeout", "300ms"}, {{"NATS_URL", url}}).output);
      ExpectNone(way, verb,
                 RunExpirer({verb, "--timeout", "300ms", "--server", url}).output);
    }
  }
}

}  // namespace
}  // namespace expirer::test
