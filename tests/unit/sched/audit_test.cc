// What an audit finds, and that it finds nothing in what the scheduler writes
// (every world of these tests is audited at its end: unit/sched/world.h).
#include "sched/audit.h"

#include <gmock/gmock.h>

#include "base/coding.h"
#include "store/meta.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AuditTest : public testing::Test {
 protected:
  AuditTest() {
    world_.audited_ = false;  // each test breaks its store
    world_.Schedule("a", kNow + 1'000, {.seq = 1});
    world_.Schedule("b", kNow + 2'000, {.seq = 2});
    world_.Schedule("c", kNow + 500, {.seq = 3});
    world_.Reject("no key", {.seq = 4});
    world_.Run();
    world_.Advance(600);
    world_.Confirm();
  }
  std::vector<std::string> Findings() {
    std::vector<std::string> findings;
    totals_ =
        Audit(*world_.store_, [&](const std::string& what) { findings.push_back(what); });
    return findings;
  }
  void Write() {
    ASSERT_TRUE(world_.store_->Write(&set_).ok());
    set_.Clear();
  }
  JobKey RowOf(const std::string& key) { return *world_.Known(key)->job; }
  static std::string Varint(uint64_t value) {
    std::string out;
    PutVarint(&out, value);
    return out;
  }

  World world_;
  WriteSet set_;
  AuditTotals totals_;
};

TEST_F(AuditTest, AWholeStoreHasNoFindings) {
  EXPECT_THAT(Findings(), IsEmpty());
  EXPECT_EQ(totals_.jobs, 2u);
  EXPECT_EQ(totals_.registers, 3u);
  EXPECT_EQ(totals_.dead, 1u);
  EXPECT_FALSE(totals_.renaming);
}

TEST_F(AuditTest, ALostRowIsFound) {
  set_.DeleteJob(RowOf("a"));
  Write();
  EXPECT_THAT(Findings(),
              ElementsAre("r/a is pending and has no row: it would never fire"));
}

TEST_F(AuditTest, ALostRegisterIsFound) {
  set_.DeleteRegister(MakeId("r", "b"));
  Write();
  EXPECT_THAT(
      Findings(),
      ElementsAre(HasSubstr("has the job r/b, but its key's register"),
                  "r: 2 pending counted, 1 there: start with serve --recover=counts"));
}

TEST_F(AuditTest, ALostRowAndRegisterTogetherAreFound) {
  set_.DeleteJob(RowOf("a"));
  set_.DeleteRegister(MakeId("r", "a"));
  Write();
  EXPECT_THAT(
      Findings(),
      ElementsAre("r: 2 pending counted, 1 there: start with serve --recover=counts"));
}

TEST_F(AuditTest, ARowOfAnotherGenerationIsFound) {
  JobKey other = RowOf("a");
  std::string row;
  ASSERT_TRUE(*world_.store_->GetJob(other, &row));
  other.key_ms += 1;
  set_.PutJob(other, row);
  Write();
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("has the job r/a")));
}

TEST_F(AuditTest, ARowThatCannotBeReadIsFound) {
  set_.PutJob(RowOf("a"), "\x07");
  Write();
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("job malformed")));
}

TEST_F(AuditTest, ARegisterThatCannotBeReadIsFound) {
  set_.PutRegister(MakeId("r", "c"), "\x07");
  Write();
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("the register of r/c: register")));
}

TEST_F(AuditTest, ABoundBehindARowIsFound) {
  std::string key(kMetaBound);
  PutBig16(&key, RowOf("a").lane);
  set_.PutMeta(key, Varint(kNow + 1'500));
  Write();
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("so it would never fire")));
}

TEST_F(AuditTest, ANumberToBeGivenTwiceIsFound) {
  set_.PutMeta(kMetaNextSeq, Varint(RowOf("b").seq));
  Write();
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("is not below the next number")));
}

TEST_F(AuditTest, ALaneOfNoRuleIsFound) {
  set_.DeleteMeta(std::string(kMetaLane) + "r");
  Write();
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("is in a lane of no rule"),
                                      HasSubstr("is in a lane of no rule")));
}

TEST_F(AuditTest, ALostDeadEntryIsFound) {
  set_.DeleteDead(DeadRejectKey("r", {1, 1, 4, 0, {}}));
  Write();
  EXPECT_THAT(
      Findings(),
      ElementsAre(
          "43 bytes of dead entries counted, 0 there: start with serve --recover=counts",
          "r: 1 rejected counted, 0 there: start with serve --recover=counts"));
}

TEST_F(AuditTest, LostCountsAreFound) {
  set_.DeleteMeta(std::string(kMetaRuleCount) + "r");
  Write();
  EXPECT_THAT(
      Findings(),
      ElementsAre("r: it has entries and no counts: start with serve --recover=counts"));
}

TEST_F(AuditTest, AMalformedEntryOfMetaIsFound) {
  set_.PutMeta(std::string(kMetaStream) + "S", "\x09\x09");
  Write();
  EXPECT_THAT(Findings(), ElementsAre("stream entry malformed: expected its number"));
}

TEST_F(AuditTest, AMalformedNoteOfAClockThatWasAheadIsFound) {
  set_.PutMeta(kMetaAhead, "\x09\x09");
  Write();
  EXPECT_THAT(Findings(),
              ElementsAre("the entry ahead of meta is malformed: expected a varint"));
}

TEST_F(AuditTest, ADeadJobWithoutItsEntryIsFound) {
  Register reg = *world_.Known("c");
  reg.state = JobState::kDead;
  set_.PutRegister(MakeId("r", "c"), EncodeRegister(reg));
  Write();
  EXPECT_THAT(Findings(), ElementsAre("r/c is dead and has no entry in the dead store"));
}

TEST_F(AuditTest, AQuarantinedRowIsNoFinding) {
  set_.PutJob(RowOf("a"), "\x07");
  Write();
  world_.Advance(1'000);
  EXPECT_THAT(Findings(), IsEmpty());
  EXPECT_EQ(totals_.dead, 2u);
}

// Its register is found live, and was: the counts must still know it.
TEST_F(AuditTest, ANewerEventOfAQuarantinedKeyIsAppliedAsEver) {
  set_.PutJob(RowOf("a"), "\x07");
  Write();
  world_.Advance(2'000);
  world_.Confirm();
  EXPECT_THAT(Findings(), IsEmpty());
  world_.Schedule("a", kNow + 9'000, {.seq = 9});
  world_.Run();
  EXPECT_THAT(Findings(), IsEmpty());
  world_.Advance(9'000);
  world_.Confirm();
  EXPECT_EQ(world_.State("a"), JobState::kFired);
  EXPECT_THAT(Findings(), IsEmpty());
}

TEST_F(AuditTest, AnUnfinishedRenameIsNoFinding) {
  set_.PutMeta(std::string(kMetaRename) + "r", "s");
  set_.PutRegister(MakeId("s", "a"), EncodeRegister(*world_.Known("a")));
  set_.DeleteRegister(MakeId("r", "a"));
  Write();
  EXPECT_THAT(Findings(), IsEmpty());
  EXPECT_TRUE(totals_.renaming);
}

}  // namespace
}  // namespace expirer
