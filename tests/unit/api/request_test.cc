#include "api/request.h"

#include <gmock/gmock.h>

#include "json/view.h"
#include "support/commands.h"

namespace expirer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Request, JobNameIsSplitAtItsFirstSlash) {
  EXPECT_EQ(*ParseJobName("orders.first/a/b"), (JobRef{"orders.first", "a/b"}));
  for (const char* bad : {"", "/", "a/", "/a", "a"})
    EXPECT_FALSE(ParseJobName(bad).ok()) << bad;
  EXPECT_FALSE(ParseJobName("r/" + std::string(kKeyBytesMax + 1, 'k')).ok());
}

TEST(Request, UnknownAndRepeatedMembersAreRefused) {
  EXPECT_THAT(Message(ParseDeadQuery(R"({"rulee":"r"})", "dead.purge").status()),
              HasSubstr("rulee"));
  EXPECT_FALSE(ParseListQuery(R"({"rule":"a","rule":"b"})").ok());
  EXPECT_FALSE(ParseDeadQuery(R"({"dry_run":true})", "dead.requeue").ok());
  EXPECT_FALSE(ParseDeadQuery(R"({"job":"r/k"})", "dead.list").ok());
}

TEST(Request, OneNamedEntryTakesNoFilter) {
  EXPECT_TRUE(ParseDeadQuery(R"({"job":"r/k"})", "dead.purge").ok());
  EXPECT_FALSE(ParseDeadQuery(R"({"job":"r/k","rule":"r"})", "dead.purge").ok());
  EXPECT_FALSE(ParseDeadQuery(R"({"job":"r/k","id":"00"})", "dead.purge").ok());
}

TEST(Request, CursorsAreReadBackAsTheyWereGiven) {
  const ListPlace place{1'800'000'000'000, 77};
  const auto list = ParseListQuery("{\"cursor\":\"" + FormatListPlace(place) + "\"}");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->after, place);
  const std::string key("r\0jk", 4);
  const auto dead =
      ParseDeadQuery("{\"cursor\":\"" + FormatDeadId(key) + "\"}", "dead.list");
  ASSERT_TRUE(dead.ok()) << dead.status();
  EXPECT_EQ(dead->after, key);
}

TEST(Request, EmptyRequestAndNullMembersMeanNoFilter) {
  EXPECT_TRUE(ParseListQuery("").ok());
  EXPECT_EQ(ParseListQuery(R"({"rule":null})")->rule, "");
  EXPECT_FALSE(ParseRequest("get", "").ok());
  EXPECT_EQ(ParseQuery("{}", "cursor").value().cursor, std::nullopt);
  EXPECT_EQ(ParseQuery(R"({"cursor":"r"})", "cursor").value().cursor, "r");
}

TEST(Request, ARoundTripsIdEndsASubjectAndNothingElse) {
  const auto trip = ParseRequest("round-trip", R"({"id":"aZ9","in_ms":200})");
  ASSERT_TRUE(trip.ok()) << trip.status();
  EXPECT_EQ(trip->id, "aZ9");
  EXPECT_EQ(trip->in_ms, 200u);
  for (const char* bad :
       {"", "{}", R"({"id":""})", R"({"id":"a.b"})", R"({"id":"*"})", R"({"id":"a b"})",
        R"({"id":"12345678901234567890123456789012345678901"})",
        R"({"id":"a","in_ms":60001})", R"({"id":"a","in_ms":-1})",
        R"({"id":"a","target":"x"})"})
    EXPECT_EQ(ParseRequest("round-trip", bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
}

TEST(JsonView, MembersAndItemsAreTakenApartWhateverTheyHold) {
  const auto members = JsonMembers(R"( { "a\u0062" : [1,{"}":"]"}] , "c":"\"," } )");
  ASSERT_TRUE(members.ok()) << members.status();
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ((*members)[0].first, "ab");
  EXPECT_EQ((*members)[0].second.raw, R"([1,{"}":"]"}])");
  EXPECT_EQ((*members)[1].second.raw, R"("\",")");
  const auto items = JsonItems((*members)[0].second.raw);
  ASSERT_TRUE(items.ok());
  EXPECT_EQ((*items)[1].raw, R"({"}":"]"})");
  EXPECT_FALSE(JsonMembers("[1]").ok());
  EXPECT_FALSE(JsonMembers("{\"a\":1").ok());
}

TEST(Request, JobInfoLeavesOutWhatIsNotKnown) {
  JobInfo info;
  info.rule = "r";
  info.key = "k\"";
  info.state = "cancelled";
  EXPECT_EQ(FormatJobInfo(info, 1'000), R"({"job":"r/k\"","state":"cancelled"})");
}

TEST(Request, JobInfoThatIsTooLongIsShortenedAndSaysSo) {
  const std::string key(kKeyBytesMax, '\x1F');  // \u001f: six bytes each
  const std::string target(1'000, 't');
  const std::string error(kErrorBytesMax, 'e');
  JobInfo info;
  info.rule = "r";
  info.key = "k";
  info.state = "retrying";
  info.target = target;
  info.last_error = error;
  EXPECT_THAT(FormatJobInfo(info, 2'000), Not(HasSubstr("shortened")));
  const std::string no_error = FormatJobInfo(info, 1'100);
  EXPECT_LE(no_error.size(), 1'100u);
  EXPECT_THAT(no_error, Not(HasSubstr("last_error")));
  EXPECT_THAT(no_error, HasSubstr(target));
  EXPECT_THAT(no_error, HasSubstr(R"("shortened":true)"));
  const std::string no_target = FormatJobInfo(info, 900);
  EXPECT_EQ(no_target, R"({"job":"r/k","state":"retrying","shortened":true})");
  info.key = key;
  const std::string no_end = FormatJobInfo(info, 900);
  EXPECT_LE(no_end.size(), 900u);
  EXPECT_THAT(no_end, HasSubstr(R"({"job":"r/\u001f)"));
}

}  // namespace
}  // namespace expirer
