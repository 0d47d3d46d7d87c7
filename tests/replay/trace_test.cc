// The lines of traces: what is read, and what is refused with which words.
#include <fstream>

#include "replay/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rfc3339.h"
#include "support/temp_dir.h"

namespace expirer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using What = TraceLine::What;

TEST(Trace, JsonIsThePayloadsOwnBytes) {
  const TraceLine line = ParsedTraceLine(
      R"({"at":"2027-02-01T10:00:00Z","subject":"a.b","json": { "n" : 1.50 } })");
  EXPECT_EQ(line.what, What::kEvent);
  EXPECT_EQ(line.at_ns, 1'801'476'000'000'000'000);
  EXPECT_EQ(line.subject, "a.b");
  EXPECT_EQ(line.payload, R"({ "n" : 1.50 })");
  EXPECT_THAT(line.headers, IsEmpty());
  EXPECT_EQ(line.stream, kFileStream);
}

TEST(Trace, PayloadIsTextOrBase64) {
  const auto payload = [](const std::string& member) {
    return ParsedTraceLine(R"({"at":"2027-02-01T10:00:00Z","subject":"s",)" + member +
                           "}")
        .payload;
  };
  EXPECT_EQ(payload(R"("payload":"a\"\u00e4\n")"), "a\"ä\n");
  EXPECT_EQ(payload(R"("payload":"")"), "");
  EXPECT_EQ(payload(R"("payload_base64":"AP/+")"), std::string("\0\xff\xfe", 3));
  EXPECT_EQ(payload(R"("json":null)"), "null");
}

TEST(Trace, HeadersMayRepeatAndNameTheirStream) {
  const TraceLine line = ParsedTraceLine(
      R"({"at":"2027-02-01T10:00:00Z","subject":"s","payload":"","stream":"S",)"
      R"("seq":18446744073709551615,"headers":{"a":"1","b":["2","3"],"c":[]}})");
  EXPECT_THAT(line.headers, ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("b", "3")));
  EXPECT_EQ(line.stream, "S");
  EXPECT_EQ(line.seq, UINT64_MAX);
}

TEST(Trace, HeadersMayBePairsInAnyOrder) {
  const TraceLine line =
      ParsedTraceLine(R"({"at":"2027-02-01T10:00:00Z","subject":"s","payload":"",)"
                      R"("headers":[["a","1"],["b",{"base64":"/w=="}],["a",""]]})");
  EXPECT_THAT(line.headers,
              ElementsAre(Pair("a", "1"), Pair("b", "\xff"), Pair("a", "")));
}

TEST(Trace, ANamelessHeaderIsTheWholeBlock) {
  const auto headers = [](const std::string& block) {
    return ParsedTraceLine(R"({"at":"2027-02-01T10:00:00Z","subject":"s","payload":"",)"
                           R"("headers":{"":")" +
                           block + R"("}})")
        .headers;
  };
  EXPECT_THAT(headers(R"(NATS/1.0\r\na:\r\n\r\n)"), ElementsAre(Pair("a", "")));
  EXPECT_THAT(headers("NATS/1.0"), ElementsAre(Pair("", "NATS/1.0")));
}

TEST(Trace, AHeaderThatIsNoUtf8IsBase64) {
  const TraceLine line = ParsedTraceLine(
      R"({"at":"2027-02-01T10:00:00Z","subject":"s","payload":"",)"
      R"("headers":{"a":{"base64":"/w=="},"b":["x",{"base64":"/g=="}]}})");
  EXPECT_THAT(line.headers,
              ElementsAre(Pair("a", "\xff"), Pair("b", "x"), Pair("b", "\xfe")));
}

TEST(Trace, TimesAreReadToTheNanosecond) {
  const TraceLine line =
      ParsedTraceLine(R"({"at":"2027-02-01T11:00:00.000999999+01:00","do":"crash"})");
  EXPECT_EQ(line.at_ns, 1'801'476'000'000'999'999);
  EXPECT_EQ(line.at_ms(), 1'801'476'000'000);
  EXPECT_EQ(line.what, What::kCrash);
}

struct Wrong {
  std::string line;
  std::string why;
};

TEST(Trace, EverythingElseIsRefused) {
  const std::string at = R"("at":"2027-02-01T10:00:00Z",)";
  const std::vector<Wrong> kWrong = {
      {"", "it is empty"},
      {"{", "it is malformed or ends too early"},
      {"[]", "it is not an object"},
      {"{}", "it has no `at`"},
      {R"({"subject":"s","payload":""})", "it has no `at`"},
      {R"({"at":1,"do":"crash"})", "`at`: expected a string, it is a number"},
      {R"({"at":"10:00","do":"crash"})",
       "`at`: it is too short for a date and a time with an offset"},
      {R"({"at":"2027-02-01T10:00:00.0000000001Z","do":"crash"})",
       "`at`: it is finer than a nanosecond"},
      {R"({"at":"1969-12-31T23:59:59Z","do":"crash"})", "`at`: it is outside 1970-2261"},
      {"{" + at + R"("do":"sleep"})",
       "`do`: expected crash, redeliver, nats-down or nats-up"},
      {"{" + at + R"("do":"crash","subject":"s"})", "beside `do` there is only `at`"},
      {"{" + at + R"("payload":""})", "it has neither `subject` nor `do`"},
      {"{" + at + R"("subject":"s"})",
       "expected one of `json`, `payload` and `payload_base64`"},
      {"{" + at + R"("subject":"s","json":1,"payload":"1"})",
       "expected one of `json`, `payload` and `payload_base64`"},
      {"{" + at + R"("subject":"a..b","json":1})", "`subject`: "},
      {"{" + at + R"("subject":"a.*","json":1})",
       "`subject`: expected no * or > in the subject of a message"},
      {"{" + at + R"("subject":"s","payload":1})",
       "`payload`: expected a string, it is a number"},
      {"{" + at + R"("subject":"s","payload_base64":"?"})",
       "`payload_base64`: it is not base64"},
      {"{" + at + R"("subject":"s","json":1,"headers":1})",
       "`headers`: expected an object, or an array of names and values"},
      {"{" + at + R"("subject":"s","json":1,"headers":["a","1"]})",
       "`headers`: expected arrays of a name and a value"},
      {"{" + at + R"("subject":"s","json":1,"headers":[["a"]]})",
       "`headers`: expected arrays of a name and a value"},
      {"{" + at + R"("subject":"s","json":1,"headers":[["","1"]]})",
       "`headers`: a name is empty"},
      {"{" + at + R"("subject":"s","json":1,"headers":{"a":1}})",
       "`headers`: expected a string, it is a number"},
      {"{" + at + R"("subject":"s","json":1,"headers":{"a":{"base64":"?"}}})",
       "`headers`: it is not base64"},
      {"{" + at + R"("subject":"s","json":1,"headers":{"a":{"text":"1"}}})",
       "`headers`: expected only `base64` in the object of a value"},
      {"{" + at + R"("subject":"s","json":1,"headers":{"":"1","a":"2"}})",
       "`headers`: a name is empty"},
      {"{" + at + R"("subject":"s","json":1,"stream":"S"})",
       "`stream` and `seq` go together"},
      {"{" + at + R"("subject":"s","json":1,"stream":"","seq":1})",
       "`stream`: expected the name of a stream"},
      {"{" + at + R"("subject":"s","json":1,"stream":"S","seq":0})",
       "`seq`: expected an integer from 1 on"},
      {"{" + at + R"("subject":"s","json":1,"stream":"S","seq":1.5})",
       "`seq`: expected an integer from 1 on"},
      {"{" + at + R"("subject":"s","json":1,"json":1})", "`json` is there twice"},
      {"{" + at + R"("subject":"s","json":1,"key":"k"})", "`key` is not known"},
  };
  for (const Wrong& wrong : kWrong) {
    TraceLine line;
    const absl::Status parsed = ParseTraceLine(wrong.line, &line);
    EXPECT_THAT(Message(parsed), testing::StartsWith(wrong.why)) << wrong.line;
    EXPECT_FALSE(parsed.ok()) << wrong.line;
  }
}

class TraceFile : public testing::Test {
 protected:
  // What reading all of a file with this text says.
  std::string ErrorOf(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    const auto reader = TraceReader::Open(path_);
    if (!reader.ok()) return Message(reader.status());
    TraceLine line;
    while (true) {
      const auto more = (*reader)->Next(&line);
      if (!more.ok()) return Message(more.status());
      if (!*more) return "";
      ++lines_;
      last_ = line;
    }
  }
  static std::string Crash(const std::string& second) {
    return R"({"at":"2027-02-01T10:00:)" + second + R"(Z","do":"crash"})";
  }
  static std::string Event(const std::string& second) {
    return R"({"at":"2027-02-01T10:00:)" + second + R"(Z","subject":"s","payload":"p"})";
  }
  const TempDir dir_;
  const std::string path_ = dir_.path() + "/trace";
  size_t lines_ = 0;
  TraceLine last_;
};

TEST_F(TraceFile, IsReadLineByLineAlsoWithoutALastNewline) {
  EXPECT_EQ(ErrorOf(Event("01") + "\r\n" + Crash("01") + "\n" + Event("02")), "");
  EXPECT_EQ(lines_, 3u);
  EXPECT_EQ(last_.number, 3u);
  EXPECT_EQ(last_.seq, 2u) << "events without a stream are numbered in their order";
  EXPECT_EQ(ErrorOf(""), "");
}

TEST_F(TraceFile, NamesTheLineThatIsWrong) {
  EXPECT_EQ(ErrorOf(Event("01") + "\n" + R"({"at":1})" + "\n" + Crash("02")),
            path_ + ":2: `at`: expected a string, it is a number");
  EXPECT_EQ(ErrorOf(Event("01") + "\n\n"), path_ + ":2: it is empty");
}

TEST_F(TraceFile, MustBeSortedByTime) {
  EXPECT_EQ(ErrorOf(Event("01") + "\n" + Event("01") + "\n" + Crash("00.999999999")),
            path_ +
                ":3: it is before the line above: 2027-02-01T10:00:00.999999999Z after "
                "2027-02-01T10:00:01.000000000Z");
}

TEST_F(TraceFile, MustBeAFile) {
  EXPECT_EQ(Message(TraceReader::Open(dir_.path()).status()),
            dir_.path() + ": cannot be read: it is no file");
  EXPECT_EQ(Message(TraceReader::Open(path_).status()),
            path_ + ": cannot be read: No such file or directory");
}

}  // namespace
}  // namespace expirer
