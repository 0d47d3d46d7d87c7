// Bytes on disk. The golden bytes were computed from the diagrams in job.h by
// a program of their own; they never change. A new version gets golden bytes
// of its own beside these.
#include "job/job.h"

#include <cstdlib>
#include <limits>
#include <random>

#include <fmt/format.h>

#include "gtest/gtest.h"

namespace expirer {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return hex;
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(
        static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

const Position kPosition{3, 2, 1000, 1700000000123456789, -5};
const Position kArrival{0, 0, 7, 0, {}};

Job FullJob() {
  Job job;
  job.due_ms = 1700000000000;
  job.sends = 2;
  job.counted_attempts = 1;
  job.late_judged = true;
  job.source = kPosition;
  job.received_ms = 1699999999990;
  job.stored_ms = 1699999999995;
  job.key = "order-17";
  job.target = "orders.expired";
  job.headers = {{"X-Trace", "abc"}, {"Empty", ""}};
  job.body = std::string("{\"id\":17}\0\xff", 11);
  return job;
}

Register Live() {
  Register reg;
  reg.state = JobState::kPending;
  reg.schedule = Register::Schedule{kPosition, 1700000000000};
  reg.job = JobKey{2, 1700000000000, 77};
  return reg;
}

Register LiveWithBrief() {
  Register reg = Live();
  reg.brief = JobBrief{"orders.expired", 2, "no stream"};
  return reg;
}

Register Fired() {
  Register reg;
  reg.state = JobState::kFired;
  reg.schedule = Register::Schedule{kPosition, 1700000000000};
  reg.cancel = kArrival;
  reg.times = Times{1, 300, 70000, int64_t{1} << 40};
  reg.expires_ms = 1700086400000;
  return reg;
}

Register Cancelled() {
  Register reg;
  reg.state = JobState::kCancelled;
  reg.cancel = kArrival;
  reg.expires_ms = 1700086400000;
  return reg;
}

Dead Undeliverable() {
  Dead dead;
  dead.reason = "no due";
  dead.at_ms = 1700000000001;
  dead.source = kPosition;
  dead.subject = "orders.created";
  dead.headers = {{"A", "1"}};
  dead.payload = "{}";
  dead.job_row = EncodeJob(Job());
  return dead;
}

Dead Reference() {
  Dead dead;
  dead.reference_only = true;
  dead.reason = "too large";
  dead.at_ms = 1700000000001;
  dead.source = kArrival;
  dead.subject = "o.c";
  return dead;
}

constexpr char kKeyHex[] = "01020000018bcfe56800aabbccddeeff0011";
constexpr char kJobHex[] =
    "030180d095ffbc3102010302e807959a97ece39fe7cb170109f6cf95ffbc31fbcf95ffbc31"
    "086f726465722d31370e6f72646572732e657870697265640207582d547261636503616263"
    "05456d707479000b7b226964223a31377d00ff00";
constexpr char kEmptyJobHex[] = "0300000000000000000000000000000000";
constexpr char kLiveHex[] =
    "010100050302e807959a97ece39fe7cb17010980d095ffbc310280d095ffbc314d";
constexpr char kBriefHex[] =
    "020100050302e807959a97ece39fe7cb17010980d095ffbc310280d095ffbc314d"
    "0e6f72646572732e6578706972656402096e6f2073747265616d";
constexpr char kFiredHex[] =
    "01038088afa8bd310b0302e807959a97ece39fe7cb17010980d095ffbc31000007000001ac"
    "02f0a204808080808020";
constexpr char kCancelledHex[] = "01048088afa8bd31020000070000";
constexpr char kDeadHex[] =
    "0100066e6f2064756581d095ffbc310302e807959a97ece39fe7cb1701090e6f7264657273"
    "2e637265617465640101410131027b7d110300000000000000000000000000000000";
constexpr char kReferenceHex[] =
    "010109746f6f206c6172676581d095ffbc310000070000036f2e63000000";

TEST(JobBytes, KeyIsGolden) {
  const JobKey key{0x0102, 0x18bcfe56800, 0xaabbccddeeff0011};
  EXPECT_EQ(Hex(EncodeJobKey(key)), kKeyHex);
  EXPECT_EQ(*DecodeJobKey(FromHex(kKeyHex)), key);
}

TEST(JobBytes, JobIsGolden) {
  EXPECT_EQ(Hex(EncodeJob(FullJob())), kJobHex);
  EXPECT_EQ(*DecodeJob(FromHex(kJobHex)), FullJob());
  EXPECT_EQ(Hex(EncodeJob(Job())), kEmptyJobHex);
  EXPECT_EQ(*DecodeJob(FromHex(kEmptyJobHex)), Job());
}

TEST(JobBytes, JobWithTheIdSourceOfAnotherScheduleIsGolden) {
  Job job = FullJob();
  job.id_form = IdForm::kGiven;
  job.id_source = 0x0123456789abcdef;
  std::string hex(kJobHex);
  hex.replace(0, 4, "0305");  // version, flags
  hex += "0123456789abcdef";
  EXPECT_EQ(Hex(EncodeJob(job)), hex);
  EXPECT_EQ(*DecodeJob(FromHex(hex)), job);
}

// As stores up to format 4 have them.
TEST(JobBytes, JobWhoseIdHasNoSourceIsGoldenAsVersionOne) {
  Job job = FullJob();
  job.id_form = IdForm::kPlain;
  std::string hex(kJobHex);
  hex.replace(0, 2, "01").resize(hex.size() - 2);
  EXPECT_EQ(Hex(EncodeJob(job)), hex);
  EXPECT_EQ(*DecodeJob(FromHex(hex)), job);
}

TEST(JobBytes, JobWithAnErrorWhoseIdHasNoSourceIsGoldenAsVersionTwo) {
  Job job = FullJob();
  job.id_form = IdForm::kPlain;
  job.unanswered = true;
  job.last_error = "full";
  std::string hex(kJobHex);
  hex.replace(0, 4, "0203").resize(hex.size() - 2);  // version, flags
  hex += "0466756c6c";                               // length, text
  EXPECT_EQ(Hex(EncodeJob(job)), hex);
  EXPECT_EQ(*DecodeJob(FromHex(hex)), job);
}

TEST(JobBytes, AttemptWithoutAnAnswerIsMarkedInPlace) {
  Job job = FullJob();
  std::string row = EncodeJob(job);
  MarkUnanswered(&row);
  job.unanswered = true;
  EXPECT_EQ(*DecodeJob(row), job);
}

TEST(JobBytes, RegisterIsGolden) {
  EXPECT_EQ(Hex(EncodeRegister(Live())), kLiveHex);
  EXPECT_EQ(*DecodeRegister(FromHex(kLiveHex)), Live());
  EXPECT_EQ(Hex(EncodeRegister(LiveWithBrief())), kBriefHex);
  EXPECT_EQ(*DecodeRegister(FromHex(kBriefHex)), LiveWithBrief());
  EXPECT_EQ(Hex(EncodeRegister(Fired())), kFiredHex);
  EXPECT_EQ(*DecodeRegister(FromHex(kFiredHex)), Fired());
  EXPECT_EQ(Hex(EncodeRegister(Cancelled())), kCancelledHex);
  EXPECT_EQ(*DecodeRegister(FromHex(kCancelledHex)), Cancelled());
}

TEST(JobBytes, DeadIsGolden) {
  EXPECT_EQ(Hex(EncodeDead(Undeliverable())), kDeadHex);
  EXPECT_EQ(*DecodeDead(FromHex(kDeadHex)), Undeliverable());
  EXPECT_EQ(Hex(EncodeDead(Reference())), kReferenceHex);
  EXPECT_EQ(*DecodeDead(FromHex(kReferenceHex)), Reference());
}

TEST(JobBytes, NamesInFamiliesAreGolden) {
  EXPECT_EQ(Hex(MakeId("rule", "k")), "72756c65006b");
  EXPECT_EQ(JobName("rule", "k"), "rule/k");
  EXPECT_EQ(Hex(DeadRejectKey("rule", kPosition)),
            "72756c6500720003000000000000000200000000000003e8");
  EXPECT_EQ(Hex(DeadJobKey("rule", "k")), "72756c65006a6b");
}

TEST(JobBytes, EveryTruncationAndExtensionIsDataLoss) {
  const auto lost = [](const absl::Status& status) { return absl::IsDataLoss(status); };
  const auto each = [&](std::string_view hex, auto decode) {
    const std::string bytes = FromHex(hex);
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_TRUE(lost(decode(bytes.substr(0, size)))) << hex << " " << size;
    EXPECT_TRUE(lost(decode(bytes + '\0'))) << hex;
    std::string newer = bytes;
    newer[0] = 4;
    EXPECT_TRUE(lost(decode(newer))) << hex;
  };
  const auto job = [](const std::string& b) { return DecodeJob(b).status(); };
  const auto reg = [](const std::string& b) { return DecodeRegister(b).status(); };
  const auto dead = [](const std::string& b) { return DecodeDead(b).status(); };
  each(kJobHex, job);
  each(kEmptyJobHex, job);
  each(kLiveHex, reg);
  each(kBriefHex, reg);
  each(kFiredHex, reg);
  each(kCancelledHex, reg);
  each(kDeadHex, dead);
  each(kReferenceHex, dead);
  const std::string key = FromHex(kKeyHex);
  for (size_t size = 0; size < key.size(); ++size)
    EXPECT_TRUE(lost(DecodeJobKey(key.substr(0, size)).status()));
  EXPECT_TRUE(lost(DecodeJobKey(key + '\0').status()));
}

TEST(JobBytes, BriefOfAJobThatIsLiveNoMoreIsNotWritten) {
  Register reg = LiveWithBrief();
  reg.state = JobState::kCancelled;
  Register without = reg;
  without.brief.reset();
  EXPECT_EQ(EncodeRegister(reg), EncodeRegister(without));
}

TEST(JobBytes, LiveRegisterMustNameItsRow) {
  Register reg = Live();
  reg.job.reset();
  EXPECT_TRUE(absl::IsDataLoss(DecodeRegister(EncodeRegister(reg)).status()));
}

TEST(JobBytes, ClosedOrDeadRegisterMustSayByWhichEvent) {
  for (const JobState state : {JobState::kFired, JobState::kSkipped, JobState::kDead}) {
    Register reg = Fired();
    reg.state = state;
    EXPECT_TRUE(DecodeRegister(EncodeRegister(reg)).ok());
    reg.schedule.reset();
    EXPECT_TRUE(absl::IsDataLoss(DecodeRegister(EncodeRegister(reg)).status()));
  }
  Register cancelled = Cancelled();
  EXPECT_TRUE(DecodeRegister(EncodeRegister(cancelled)).ok());
  cancelled.cancel.reset();
  EXPECT_TRUE(absl::IsDataLoss(DecodeRegister(EncodeRegister(cancelled)).status()));
}

TEST(JobBytes, HeaderCountBeyondTheBytesIsDataLossNotAnAllocation) {
  std::string bytes = EncodeJob(Job());
  bytes.replace(bytes.size() - 2, 2, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
  EXPECT_TRUE(absl::IsDataLoss(DecodeJob(bytes).status()));
}

TEST(JobBytes, ExpiryIsReadOfClosedRegistersOnly) {
  EXPECT_EQ(ExpiresMs(EncodeRegister(Fired())), 1700086400000);
  EXPECT_EQ(ExpiresMs(EncodeRegister(Cancelled())), 1700086400000);
  Register live = LiveWithBrief();
  live.expires_ms = 5;
  EXPECT_EQ(ExpiresMs(EncodeRegister(live)), 0);
  Register dead = Live();
  dead.state = JobState::kDead;
  dead.expires_ms = 5;
  EXPECT_EQ(ExpiresMs(EncodeRegister(dead)), 0);
  EXPECT_EQ(ExpiresMs(""), 0);
  EXPECT_EQ(ExpiresMs("\x02\x03\x05"), 0) << "a newer version is kept";
}

// Random values. The seed is printed on failure and taken from EXPIRER_SEED.
class Draw {
 public:
  Draw() {
    const char* text = std::getenv("EXPIRER_SEED");
    seed_ = text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
    random_.seed(seed_);
  }
  [[nodiscard]] std::string trace() const {
    return fmt::format("EXPIRER_SEED={}", seed_);
  }
  // Small, middling and extreme numbers alike.
  uint64_t Number() { return random_() >> (random_() % 64); }
  int64_t Ms() { return static_cast<int64_t>(Number() >> 1); }
  bool Coin() { return random_() % 2 == 0; }
  std::string Bytes() {
    std::string bytes(random_() % (Coin() ? 8 : 200), '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }
  Headers SomeHeaders() {
    Headers headers(random_() % 4);
    for (auto& [name, value] : headers) {
      name = Bytes();
      value = Bytes();
    }
    return headers;
  }
  Position APosition() {
    Position position{static_cast<uint16_t>(Number()), Number(), Number(), Ms(), {}};
    if (Coin()) position.version = static_cast<int64_t>(Number());
    return position;
  }
  JobKey AKey() { return {static_cast<Lane>(Number()), Ms(), Number()}; }
  Job AJob() {
    return {Ms(), Number(), Number(), Coin(),        Coin(),  APosition(),          Ms(),
            Ms(), Bytes(),  Bytes(),  SomeHeaders(), Bytes(), Coin() ? Bytes() : ""};
  }
  Register ARegister() {
    Register reg;
    reg.state = static_cast<JobState>(1 + random_() % 6);
    const bool cancelled = reg.state == JobState::kCancelled;
    if (!cancelled || Coin()) reg.schedule = Register::Schedule{APosition(), Ms()};
    if (cancelled || Coin()) reg.cancel = APosition();
    if (IsLive(reg.state) || Coin()) reg.job = AKey();
    if (Coin()) reg.times = Times{Ms(), Ms(), Ms(), Ms()};
    if (IsLive(reg.state) && Coin()) reg.brief = JobBrief{Bytes(), Number(), Bytes()};
    reg.expires_ms = Ms();
    return reg;
  }
  Dead ADead() {
    return {Coin(), Bytes(), Ms(), APosition(), Bytes(), SomeHeaders(), Bytes(), Bytes()};
  }

 private:
  uint64_t seed_;
  std::mt19937_64 random_;
};

TEST(JobBytes, RandomValuesComeBackAsTheyWere) {
  Draw draw;
  SCOPED_TRACE(draw.trace());
  for (int i = 0; i < 2000; ++i) {
    const JobKey key = draw.AKey();
    EXPECT_EQ(*DecodeJobKey(EncodeJobKey(key)), key);
    const Job job = draw.AJob();
    EXPECT_EQ(*DecodeJob(EncodeJob(job)), job);
    const Register reg = draw.ARegister();
    EXPECT_EQ(*DecodeRegister(EncodeRegister(reg)), reg);
    EXPECT_EQ(ExpiresMs(EncodeRegister(reg)), IsClosed(reg.state) ? reg.expires_ms : 0);
    const Dead dead = draw.ADead();
    EXPECT_EQ(*DecodeDead(EncodeDead(dead)), dead);
    if (HasFailure()) return;
  }
}

TEST(JobBytes, ViewEqualsTheJob) {
  Draw draw;
  SCOPED_TRACE(draw.trace());
  for (int i = 0; i < 500; ++i) {
    const Job job = draw.AJob();
    const std::string bytes = EncodeJob(job);
    JobView view;
    ASSERT_TRUE(DecodeJob(bytes, &view).ok());
    EXPECT_EQ(view.due_ms, job.due_ms);
    EXPECT_EQ(view.source, job.source);
    EXPECT_EQ(view.key, job.key);
    EXPECT_EQ(view.target, job.target);
    EXPECT_EQ(view.body, job.body);
    ASSERT_EQ(view.headers.size(), job.headers.size());
    for (size_t h = 0; h < job.headers.size(); ++h) {
      EXPECT_EQ(view.headers[h].first, job.headers[h].first);
      EXPECT_EQ(view.headers[h].second, job.headers[h].second);
    }
  }
}

// I4.
TEST(JobKeyOrder, BytesCompareAsKeysDo) {
  Draw draw;
  SCOPED_TRACE(draw.trace());
  for (int i = 0; i < 20000; ++i) {
    JobKey a = draw.AKey();
    JobKey b = draw.AKey();
    if (draw.Coin()) b.lane = a.lane;
    if (draw.Coin()) b.key_ms = a.key_ms;
    if (draw.Coin()) b.seq = a.seq;
    const int bytes = EncodeJobKey(a).compare(EncodeJobKey(b));
    EXPECT_EQ(a < b, bytes < 0);
    EXPECT_EQ(a == b, bytes == 0);
    if (HasFailure()) return;
  }
}

struct Comparison {
  const char* what;
  Position a;
  Position b;
  int expected;
};

TEST(PositionOrder, FollowsTheContract) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  const Comparison table[] = {
      {"the same message", {1, 1, 5, 100, {}}, {1, 1, 5, 100, {}}, 0},
      {"one epoch: by sequence", {1, 1, 6, 100, {}}, {1, 1, 5, 900, {}}, 1},
      {"a later epoch: by time", {1, 2, 1, 300, {}}, {1, 1, 9, 200, {}}, 1},
      {"a later epoch may hold older messages",
       {1, 2, 9, 100, {}},
       {1, 1, 1, 200, {}},
       -1},
      {"a later era: whatever the time",
       {1, kEra + 2, 1, 100, {}},
       {1, 1, 9, 200, {}},
       1},
      {"a later era, of no epoch: by time",
       {1, kEra + 2, 1, 100, {}},
       {1, 0, 9, 200, {}},
       -1},
      {"a later era of another stream: by time",
       {1, kEra + 2, 1, 100, {}},
       {2, 1, 9, 200, {}},
       -1},
      {"two streams: by time", {2, 1, 1, 300, {}}, {1, 1, 9, 200, {}}, 1},
      {"two streams at one time", {2, 1, 1, 200, {}}, {1, 1, 9, 200, {}}, 0},
      {"core and API: by arrival", {0, 0, 8, 0, {}}, {0, 0, 7, 0, {}}, 1},
      {"version before sequence", {1, 1, 5, 100, 2}, {1, 1, 6, 900, 1}, 1},
      {"version across streams", {1, 1, 5, 900, 1}, {2, 1, 6, 100, 2}, -1},
      {"the same version: by sequence", {1, 1, 5, 100, 3}, {1, 1, 6, 100, 3}, -1},
      {"only one has a version: by sequence", {1, 1, 5, 100, 9}, {1, 1, 6, 100, {}}, -1},
      {"version far apart", {1, 1, 1, 1, kMax}, {1, 1, 2, 2, kMin}, 1},
  };
  for (const Comparison& row : table) {
    const auto sign = [](int n) { return (n > 0) - (n < 0); };
    EXPECT_EQ(sign(Compare(row.a, row.b)), row.expected) << row.what;
    EXPECT_EQ(sign(Compare(row.b, row.a)), -row.expected) << row.what;
  }
}

TEST(JobState, LiveAndClosedAreApart) {
  for (int state = 1; state <= 6; ++state) {
    const auto s = static_cast<JobState>(state);
    EXPECT_FALSE(IsLive(s) && IsClosed(s));
    EXPECT_NE(Name(s), "invalid");
  }
  EXPECT_FALSE(IsLive(JobState::kDead) || IsClosed(JobState::kDead));
}

}  // namespace
}  // namespace expirer
