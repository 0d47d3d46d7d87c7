// Lines that are written are read back as they were, to the byte.
#include "replay/trace_writer.h"

#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job/header_block.h"
#include "replay/files.h"
#include "support/temp_dir.h"

namespace expirer {
namespace {

using testing::HasSubstr;

TraceLine Event(const std::string& payload) {
  TraceLine line;
  line.at_ns = 1'801'476'000'123'456'789;
  line.subject = "order:created";
  line.payload = payload;
  line.stream = "ORDERS";
  line.seq = 7;
  return line;
}

std::string Written(const TraceLine& line) {
  std::string text;
  AppendTraceLine(line, &text);
  return text;
}

void ExpectReadBack(const TraceLine& line) {
  const std::string text = Written(line);
  const TraceLine read = ParsedTraceLine(text);
  EXPECT_EQ(text.find('\n'), text.npos) << text;
  EXPECT_EQ(read.what, TraceLine::What::kEvent) << text;
  EXPECT_EQ(read.at_ns, line.at_ns) << text;
  EXPECT_EQ(read.subject, line.subject) << text;
  EXPECT_EQ(read.headers, line.headers) << text;
  EXPECT_EQ(read.payload, line.payload) << text;
  EXPECT_EQ(read.stream, line.stream) << text;
  EXPECT_EQ(read.seq, line.stream == kFileStream ? 0 : line.seq) << text;
}

TEST(TraceWriter, TellsAnEventOnOneLine) {
  TraceLine line = Event(R"({"id":"a1"})");
  EXPECT_EQ(Written(line),
            R"({"at":"2027-02-01T10:00:00.123456789Z","subject":"order:created",)"
            R"("stream":"ORDERS","seq":7,"json":{"id":"a1"}})");
  line.stream = kFileStream;
  line.headers = {{"a", "1"}, {"a", "3"}, {"b", "2"}};
  line.payload = "hello";
  EXPECT_EQ(Written(line),
            R"({"at":"2027-02-01T10:00:00.123456789Z","subject":"order:created",)"
            R"("headers":{"a":["1","3"],"b":"2"},"payload":"hello"})");
}

TEST(TraceWriter, OnlyJsonOfOneLineIsJson) {
  for (const std::string json : {"{}", "[1]", "0", "-1.50e3", "\"a\\u0000\"", "null",
                                 "{ \"a\" :\t1\r}", R"({"a":1,"a":2})"}) {
    EXPECT_THAT(Written(Event(json)), HasSubstr(",\"json\":" + json + "}")) << json;
    ExpectReadBack(Event(json));
  }
  const std::string deep(127, '[');
  for (const std::string& text :
       {std::string(), std::string(" {}"), std::string("{} "), std::string("{\n}"),
        std::string("1,\"at\":2"), std::string("1}"), std::string("01"),
        std::string("nul"), std::string("\xEF\xBB\xBF{}"), std::string("\0", 1),
        std::string("{\"a\":1}{}"), deep + std::string(127, ']'),
        "[" + deep + std::string(128, ']'), "[[" + deep + std::string(129, ']')})
    ExpectReadBack(Event(text));
  EXPECT_THAT(Written(Event("1,\"at\":2")), HasSubstr(R"("payload":"1,\"at\":2"})"));
}

TEST(TraceWriter, BytesThatAreNoTextAreBase64) {
  EXPECT_THAT(Written(Event(std::string("\0\xff\xfe", 3))),
              HasSubstr(R"("payload_base64":"AP/+"})"));
  TraceLine line = Event("");
  line.headers = {{"a", "\xff"}, {"b", "x"}, {"b", "\xfe"}};
  EXPECT_THAT(
      Written(line),
      HasSubstr(R"("headers":{"a":{"base64":"/w=="},"b":["x",{"base64":"/g=="}]})"));
  ExpectReadBack(line);
}

TEST(TraceWriter, KeepsTheOrderOfHeadersWhateverItIs) {
  TraceLine line = Event("");
  line.headers = {{"b", "1"}, {"a", "2"}, {"a", "3"}, {"c", ""}};
  EXPECT_THAT(Written(line), HasSubstr(R"("headers":{"b":"1","a":["2","3"],"c":""})"));
  ExpectReadBack(line);
  line.headers = {{"a", "1"}, {"b", "\xff"}, {"a", "3"}};
  EXPECT_THAT(Written(line),
              HasSubstr(R"("headers":[["a","1"],["b",{"base64":"/w=="}],["a","3"]])"));
  ExpectReadBack(line);
}

TEST(TraceWriter, HeadersThatCannotBeReadStandAsOneBlockWithoutAName) {
  TraceLine line = Event("");
  line.headers = UnreadHeaders("NATS/1.0\r\nX\r\n\r\n");
  EXPECT_TRUE(CheckTraceable(line).ok());
  EXPECT_THAT(Written(line), HasSubstr(R"("headers":{"":"NATS/1.0\r\nX\r\n\r\n"})"));
  ExpectReadBack(line);
  line.headers = UnreadHeaders("\xff");
  EXPECT_THAT(Written(line), HasSubstr(R"("headers":{"":{"base64":"/w=="}})"));
  ExpectReadBack(line);
}

TEST(TraceWriter, AZeroByteInAHeaderIsToldToo) {
  TraceLine line = Event("");
  line.headers = {{"a", std::string("1\0", 2)}};
  EXPECT_THAT(Written(line), HasSubstr(R"("headers":{"a":"1\u0000"})"));
  ExpectReadBack(line);
}

TEST(TraceWriter, KnowsWhatNoLineCanTell) {
  EXPECT_TRUE(CheckTraceable(Event("")).ok());
  TraceLine line = Event("");
  for (const char* subject : {"a.*", "a.>", "a..b", "", "a b", "a.", "\xff"}) {
    line.subject = subject;
    EXPECT_FALSE(CheckTraceable(line).ok()) << subject;
  }
  for (const char* subject : {"ä.b", "a>b", "a.*b", ">>"}) {
    line.subject = subject;
    EXPECT_TRUE(CheckTraceable(line).ok()) << subject;
    ExpectReadBack(line);
  }
  line.headers = {{"\xff", "1"}};
  EXPECT_EQ(Message(CheckTraceable(line)), "the name of a header is no UTF-8");
}

// Messages of all kinds of bytes; JSON among them.
class Messages {
 public:
  explicit Messages(uint64_t seed) : random_(seed) {}

  TraceLine Next() {
    TraceLine line;
    at_ns_ += static_cast<int64_t>(Below(3) * Below(2'000'000'000));
    line.at_ns = at_ns_;
    line.subject = "s." + std::to_string(Below(100));
    if (Below(3) > 0) {
      line.stream = "S" + std::to_string(Below(3));
      line.seq = 1 + random_() / 2;
    } else {
      line.stream = kFileStream;
    }
    for (uint64_t names = Below(4); names > 0; --names) {
      const std::string name = "h" + std::to_string(names);
      for (uint64_t values = 1 + Below(3); values > 0; --values)
        line.headers.emplace_back(name, Text());
    }
    line.payload = Below(2) == 0 ? Json(4) : Text();
    return line;
  }

 private:
  uint64_t Below(uint64_t end) { return random_() % end; }
  std::string Text() {
    static const std::vector<std::string> kText = {
        "a", "\"", "\\", "\n", "\r", "{", "}", ":",    ",",    "ä",
        "€", "\t", " ",  "[1", "]",  "1", "💶", "null", "\x01", "\x7f"};
    static const std::vector<std::string> kBytes = {"a", "\xff", "\xc3", "\xed\xa0\x80",
                                                    std::string(1, '\0')};
    const std::vector<std::string>& pieces = Below(3) == 0 ? kBytes : kText;
    std::string text;
    for (uint64_t length = Below(12); length > 0; --length)
      text += pieces[Below(pieces.size())];
    return text;
  }
  std::string Json(int depth) {
    static const char* const kSpaces[] = {"", "", "", " ", "\t", "\r", "\n"};
    const std::string space = kSpaces[Below(std::size(kSpaces))];
    switch (depth == 0 ? Below(3) : Below(5)) {
      case 0: return std::to_string(random_());
      case 1: return "\"\\u00e4\\n\\\"\"";
      case 2: return "true";
      case 3: return "[" + space + Json(depth - 1) + "," + Json(depth - 1) + "]";
      default: return "{\"json\":" + space + Json(depth - 1) + space + "}";
    }
  }
  std::mt19937_64 random_;
  int64_t at_ns_ = 1'801'476'000'000'000'000;
};

TEST(TraceWriter, RandomMessagesAreReadBackFromAFile) {
  constexpr uint64_t kSeed = 20270201;
  const TempDir dir;
  const std::string path = dir.path() + "/trace.jsonl";
  std::vector<TraceLine> lines;
  std::string text;
  Messages messages(kSeed);
  for (int i = 0; i < 5'000; ++i) {
    lines.push_back(messages.Next());
    ASSERT_TRUE(CheckTraceable(lines.back()).ok());
    AppendTraceLine(lines.back(), &text);
    text += '\n';
  }
  std::ofstream(path, std::ios::binary) << text;
  const std::vector<TraceLine> read = ReadTrace(path);
  ASSERT_EQ(read.size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    ASSERT_EQ(read[i].at_ns, lines[i].at_ns) << "seed " << kSeed << ", line " << i;
    ASSERT_EQ(read[i].subject, lines[i].subject) << "seed " << kSeed << ", line " << i;
    ASSERT_EQ(read[i].headers, lines[i].headers) << "seed " << kSeed << ", line " << i;
    ASSERT_EQ(read[i].payload, lines[i].payload) << "seed " << kSeed << ", line " << i;
    ASSERT_EQ(read[i].stream, lines[i].stream) << "seed " << kSeed << ", line " << i;
    if (lines[i].stream == kFileStream) continue;
    ASSERT_EQ(read[i].seq, lines[i].seq) << "seed " << kSeed << ", line " << i;
  }
}

}  // namespace
}  // namespace expirer
