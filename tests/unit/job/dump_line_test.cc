// The lines of a dump: exact, strict, and readable.
#include "job/dump_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "job/job.h"

namespace expirer {
namespace {

using testing::HasSubstr;
using Kind = DumpLine::Kind;

Job WholeJob() {
  Job job;
  job.due_ms = 1'800'000'000'000;
  job.sends = 3;
  job.counted_attempts = 2;
  job.late_judged = true;
  job.unanswered = true;
  job.source = {1, 2, 3, 1'800'000'000'000'000'001, -7};
  job.received_ms = 5;
  job.stored_ms = 6;
  job.key = "a\"1\n\xc3\xa9";
  job.target = "expiration:complete";
  job.headers = {{"traceparent", "00-1"}, {"bytes", std::string("\xff\x00", 2)}};
  job.body = std::string("\x00\xfe", 2);
  job.last_error = "no stream";
  return job;
}

std::string Line(Kind kind, std::string_view key, std::string_view value) {
  std::string line;
  const absl::Status status = AppendDumpEntry(kind, key, value, &line);
  EXPECT_TRUE(status.ok()) << status;
  return line;
}

// Written, read and written again the entry is the same, byte for byte.
void ExpectRoundTrip(Kind kind, const std::string& key, const std::string& value) {
  const std::string line = Line(kind, key, value);
  const auto read = ParseDumpLine(line);
  ASSERT_TRUE(read.ok()) << read.status() << "\n" << line;
  EXPECT_EQ(read->kind, kind);
  EXPECT_EQ(read->key, key);
  EXPECT_EQ(read->value, value) << line;
  EXPECT_EQ(Line(kind, read->key, read->value), line);
}

std::string Reason(const std::string& line) {
  const auto read = ParseDumpLine(line);
  EXPECT_FALSE(read.ok()) << line;
  return read.ok() ? "" : Message(read.status());
}

TEST(DumpLine, KeepsEveryFieldOfAJob) {
  const JobKey key{7, 1'800'000'000'001, 12};
  ExpectRoundTrip(Kind::kJob, EncodeJobKey(key), EncodeJob(WholeJob()));
  Job least;
  least.key = "k";
  least.target = "t";
  ExpectRoundTrip(Kind::kJob, EncodeJobKey(JobKey{}), EncodeJob(least));
}

TEST(DumpLine, JobIsReadable) {
  Job job;
  job.due_ms = 5;
  job.key = "a1";
  job.target = "t";
  job.body = "{\"id\":1}";
  EXPECT_EQ(Line(Kind::kJob, EncodeJobKey(JobKey{1, 6, 7}), EncodeJob(job)),
            R"({"job":{"lane":1,"key_ms":6,"seq":7},"key":"a1","due_ms":5,)"
            R"("source":{"stream":0,"epoch":0,"seq":0,"time_ns":0},"target":"t",)"
            R"("body":"{\"id\":1}"})");
}

TEST(DumpLine, KeepsRegistersOfEveryState) {
  const std::string id = MakeId("rule", std::string("k\0\xff", 3));
  Register reg;
  reg.state = JobState::kRetrying;
  reg.schedule = Register::Schedule{{1, 1, 9, 10, 3}, 77};
  reg.job = JobKey{2, 78, 5};
  ExpectRoundTrip(Kind::kRegister, id, EncodeRegister(reg));
  reg.brief = JobBrief{"t", 2, "why"};
  ExpectRoundTrip(Kind::kRegister, id, EncodeRegister(reg));
  reg.brief.reset();
  reg.state = JobState::kFired;
  reg.times = Times{1, 2, 3, 0};
  reg.expires_ms = 99;
  ExpectRoundTrip(Kind::kRegister, id, EncodeRegister(reg));
  reg.times = Times{};
  reg.state = JobState::kCancelled;
  reg.cancel = Position{1, 1, 10, 11, {}};
  ExpectRoundTrip(Kind::kRegister, id, EncodeRegister(reg));
  Register first_cancel;
  first_cancel.state = JobState::kCancelled;
  first_cancel.cancel = Position{};
  ExpectRoundTrip(Kind::kRegister, MakeId("", ""), EncodeRegister(first_cancel));
}

TEST(DumpLine, KeepsDeadEntriesOfBothKinds) {
  Dead dead;
  dead.reason = "no key";
  dead.at_ms = 4;
  dead.source = {1, 1, 7, 8, {}};
  dead.subject = "order:created";
  dead.headers = {{"a", "b"}, {"a", "c"}};
  dead.payload = "\xff";
  const std::string rejected = DeadRejectKey("rule", {1, UINT64_MAX, 7, 0, {}});
  ExpectRoundTrip(Kind::kDead, rejected, EncodeDead(dead));
  dead.reference_only = true;
  ExpectRoundTrip(Kind::kDead, rejected, EncodeDead(dead));
  dead.job_row = EncodeJob(WholeJob());
  const std::string given_up = DeadJobKey("rule", "a1");
  ExpectRoundTrip(Kind::kDead, given_up, EncodeDead(dead));
  EXPECT_THAT(Line(Kind::kDead, given_up, EncodeDead(dead)),
              HasSubstr("\"target\":\"expiration:complete\""));
  dead.job_row = "no job at all";
  ExpectRoundTrip(Kind::kDead, given_up, EncodeDead(dead));
}

TEST(DumpLine, KeepsTheBytesOfMeta) {
  ExpectRoundTrip(Kind::kMeta, "lane/rule", "\x01");
  ExpectRoundTrip(Kind::kMeta, std::string("bound/\0\x01", 8), "\xff\x01");
  ExpectRoundTrip(Kind::kMeta, "\xff", "");
}

TEST(DumpLine, KeepsHeadAndEnd) {
  std::string line;
  const std::string id(32, 'a');
  AppendDumpHead(3, id, &line);
  EXPECT_EQ(line, "{\"expirer_dump\":1,\"format\":3,\"store\":\"" + id + "\"}");
  const auto head = ParseDumpLine(line);
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->kind, Kind::kHead);
  EXPECT_EQ(head->format, 3u);
  EXPECT_EQ(head->store_id, id);
  line.clear();
  AppendDumpEnd({1, 2, 3, 4}, &line);
  const auto end = ParseDumpLine(line);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->kind, Kind::kEnd);
  EXPECT_EQ(end->counts, (DumpCounts{1, 2, 3, 4}));
}

TEST(DumpLine, ANewerHeadIsReadAsFarAsItsVersion) {
  const auto head = ParseDumpLine(R"({"expirer_dump":9,"whatever":[]})");
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->version, 9u);
}

TEST(DumpLine, SaysWhatIsWrong) {
  EXPECT_EQ(Reason(""), "it is empty");
  EXPECT_EQ(Reason("{\"job\":{}"), "it is malformed or ends too early");
  EXPECT_EQ(Reason("{}"), "it is no line of a dump");
  EXPECT_EQ(Reason(R"({"mata":"a"})"), "`mata` is not known");
  EXPECT_EQ(Reason(R"({"meta":"a"})"), "it has no `value`");
  EXPECT_EQ(Reason(R"({"meta":1,"value":""})"),
            "`meta`: expected a string, it is a number");
  EXPECT_EQ(Reason(R"({"meta":"a","meta":"b","value":""})"), "`meta`: it is there twice");
  EXPECT_EQ(Reason(R"({"meta":"a","value_base64":"*"})"),
            "`value_base64`: it is not base64");
  EXPECT_EQ(Reason(R"({"meta":"a","value":"","value_base64":""})"),
            "`value`: it is there twice, once in base64");
  EXPECT_EQ(Reason(R"({"register":"r","key":"k","state":"gone"})"),
            "`state`: \"gone\" is no state");
  EXPECT_EQ(Reason(R"({"register":"r","key":"k","state":"pending"})"),
            "`state`: a live key has `schedule` and `job`");
  EXPECT_EQ(Reason(R"({"register":"r\u0000s","key":"k","state":"fired"})"),
            "`register`: it holds a zero byte");
  EXPECT_EQ(Reason(R"({"job":{"lane":65536,"key_ms":0,"seq":0},"key":"k"})"),
            "`job`: `lane`: it is out of range");
  EXPECT_EQ(Reason(R"({"job":{"lane":1,"key_ms":-1,"seq":0},"key":"k"})"),
            "`job`: `key_ms`: it is out of range");
  EXPECT_EQ(Reason(R"({"job":{"lane":1,"key_ms":1.5,"seq":0},"key":"k"})"),
            "`job`: `key_ms`: expected an integer, it is a number");
  EXPECT_EQ(Reason(R"({"expirer_dump":1,"format":3,"store":"x"})"),
            "`store`: expected 32 lower-case hex digits");
}

TEST(DumpLine, StoredBytesThatCannotBeReadAreNotWritten) {
  std::string line;
  EXPECT_TRUE(absl::IsDataLoss(
      AppendDumpEntry(Kind::kJob, EncodeJobKey(JobKey{}), "\x09", &line)));
  EXPECT_TRUE(absl::IsDataLoss(AppendDumpEntry(Kind::kJob, "short", "", &line)));
  EXPECT_TRUE(absl::IsDataLoss(AppendDumpEntry(Kind::kRegister, "no rule", "", &line)));
  EXPECT_TRUE(absl::IsDataLoss(
      AppendDumpEntry(Kind::kDead, std::string("r\0x", 3), EncodeDead({}), &line)));
  EXPECT_EQ(line, "");
}

}  // namespace
}  // namespace expirer
