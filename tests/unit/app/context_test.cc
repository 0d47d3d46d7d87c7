// Which of contexts, environment and flags says where NATS is.
#include "app/context.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config_show.h"
#include "support/temp_dir.h"

namespace expirer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Context : public testing::Test {
 protected:
  Context() {
    std::filesystem::create_directories(dir_.path() + "/nats/context");
    Put("mine", R"({"url":"nats://a:1","user":"u","password":"~/p","cert":"~/c",)"
                R"("key":"/k","inbox_prefix":"_MINE","jetstream_domain":"hub","nsc":1})");
    values_["XDG_CONFIG_HOME"] = dir_.path();
    values_["HOME"] = "/home/me";
  }
  Environment Getenv() {
    return [this](const char* name) -> const char* {
      const auto found = values_.find(name);
      return found == values_.end() ? nullptr : found->second.c_str();
    };
  }
  void Put(const std::string& context, const std::string& text) {
    std::ofstream(dir_.path() + "/nats/context/" + context + ".json") << text;
  }
  // As `serve` takes them over a config file.
  Config Applied(const std::string& file) {
    ConfigResult result = ParseConfig(file, "f.yaml", /*alone=*/false);
    EXPECT_THAT(result.errors, IsEmpty());
    EXPECT_THAT(ApplyOverrides(&result.config, Overrides(flags_, Getenv()).value()),
                IsEmpty());
    return std::move(result.config);
  }
  // "creds|nkey|user|token|password".
  std::string Who(const std::string& file = "") {
    const ConnectionOptions nats = Applied("nats: { " + file + " }").nats;
    return nats.creds + "|" + nats.nkey + "|" + nats.user + "|" + nats.token + "|" +
           nats.password;
  }
  const TempDir dir_;
  std::map<std::string, std::string> values_;
  ClientFlags flags_;
};

TEST_F(Context, IsBelowTheEnvironmentAndThatIsBelowFlags) {
  values_["NATS_CONTEXT"] = "mine";
  values_["NATS_USER"] = "e";
  values_["NATS_CA"] = "/e";
  flags_.values["nats.user"] = "f";
  flags_.values["nats.tls.key"] = "/other";
  flags_.values["nats.inbox_prefix"] = "_FLAG";
  const Config config = Applied("nats: { url: file, user: file, domain: file }");
  EXPECT_THAT(config.nats.servers, ElementsAre("nats://a:1"));
  EXPECT_EQ(config.nats.user, "f");
  EXPECT_EQ(config.nats.password, "~/p") << "it is no path";
  EXPECT_EQ(config.nats.tls_ca, "/e");
  EXPECT_EQ(config.nats.tls_cert, "/home/me/c");
  EXPECT_EQ(config.nats.tls_key, "/other");
  EXPECT_EQ(config.nats.inbox_prefix, "_FLAG");
  EXPECT_EQ(config.nats.domain, "hub");
  EXPECT_EQ(config.origins.at("nats.url"), "context mine: url");
  EXPECT_EQ(config.origins.at("nats.user"), "--user");
  EXPECT_EQ(config.origins.at("nats.tls.ca"), "NATS_CA");
}

TEST_F(Context, OfAFlagGoesBeforeThatOfTheEnvironment) {
  values_["NATS_CONTEXT"] = "none";
  flags_.context = "mine";
  EXPECT_EQ(Applied("").nats.user, "u");
}

// Else the server would be told two, and choose.
TEST_F(Context, WhoWeAreIsSaidByOneSourceOnly) {
  Put("creds", R"({"creds":"/c","url":"a"})");
  flags_.context = "creds";
  EXPECT_EQ(Who(), "/c||||");
  EXPECT_EQ(Who("user: u, password: p, token: t"), "/c||||");
  values_["NATS_TOKEN"] = "t";
  EXPECT_EQ(Who(), "|||t|");
  flags_.values["nats.user"] = "f";
  EXPECT_EQ(Who(), "||f||");
  values_["NATS_PASSWORD"] = "p";
  EXPECT_EQ(Who(), "||f||p") << "it may come from elsewhere than its user";
  flags_.values.erase("nats.user");
  flags_.values["nats.nkey"] = "n";
  EXPECT_EQ(Who(), "|n|||");
  flags_ = {};
  values_.clear();
  EXPECT_EQ(Who("creds: c, user: u"), "c||u||") << "a file that says two is as it was";
}

TEST_F(Context, WhatAHigherSourceMadeVoidIsShownAsThat) {
  flags_.values["nats.user"] = "f";
  const std::string shown =
      ShowConfig("nats: { creds: /c }", "f.yaml", Overrides(flags_, Getenv()).value());
  EXPECT_THAT(shown, HasSubstr("nats.creds: \"\"  # --user\n"));
  EXPECT_THAT(shown, HasSubstr("nats.nkey: \"\"  # default\n"));
  EXPECT_THAT(shown, HasSubstr("nats.user: f  # --user\n"));
}

TEST_F(Context, OneThatIsNamedMustBeThereAndWhole) {
  const auto wrong = [this](const std::string& context) {
    flags_.context = context;
    return Message(Overrides(flags_, Getenv()).status());
  };
  EXPECT_EQ(wrong("none"),
            "context none: " + dir_.path() +
                "/nats/context/none.json cannot be read: No such file or directory; "
                "expected one that `nats context ls` shows");
  EXPECT_THAT(wrong("../mine"), HasSubstr("expected a name without /"));
  Put("cut", R"({"url":"nats)");
  EXPECT_THAT(wrong("cut"), HasSubstr("context cut: " + dir_.path()));
  for (const auto& [text, what] :
       {std::pair(R"({"url":"x,,y"})", "url: expected servers such as"),
        {R"({"token":"t\n"})", "token: control characters are not allowed"},
        {R"({"inbox_prefix":"a.>"})", "inbox_prefix: expected a subject without"},
        {R"({"jetstream_domain":"a.b"})", "jetstream_domain: expected letters"}}) {
    Put("odd", text);
    EXPECT_EQ(wrong("odd"), "");
    EXPECT_THAT(Message(ClientOptions(flags_, Getenv()).status()),
                HasSubstr(std::string("context odd: ") + what));
  }
}

// A service does not depend on what somebody selected for the `nats` CLI.
TEST_F(Context, TheSelectedOneIsForCommandsThatAskOnly) {
  std::ofstream(dir_.path() + "/nats/context.txt") << "mine\n";
  EXPECT_TRUE(Overrides(flags_, Getenv())->empty());
  EXPECT_EQ(ClientOptions(flags_, Getenv())->user, "u");
  values_["NATS_USER"] = "e";
  EXPECT_EQ(ClientOptions(flags_, Getenv())->user, "e");
  std::ofstream(dir_.path() + "/nats/context.txt") << "removed\n";
  EXPECT_EQ(ClientOptions(flags_, Getenv())->user, "e");
}

TEST_F(Context, ACertificateAndItsKeyMayComeFromTwoPlaces) {
  values_["NATS_CERT"] = "c";
  EXPECT_EQ(Message(ClientOptions(flags_, Getenv()).status()),
            "nats.tls: expected cert and key together, found only cert (by NATS_CERT)");
  flags_.values["nats.tls.key"] = "k";
  EXPECT_EQ(ClientOptions(flags_, Getenv())->tls_key, "k");
  values_.erase("NATS_CERT");
  EXPECT_EQ(Message(ClientOptions(flags_, Getenv()).status()),
            "nats.tls: expected cert and key together, found only key (by --tlskey)");
  const Config config = Applied("nats: { tls: { cert: file } }");
  EXPECT_TRUE(CheckTls(config).ok()) << CheckTls(config).message();
}

}  // namespace
}  // namespace expirer
