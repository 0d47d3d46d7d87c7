// The texts of the broker: ack subjects, PubAcks, statuses, errors, replies.
#include <gtest/gtest.h>
#include <nats/nats.h>

#include "json/view.h"
#include "net/ack_subject.h"
#include "net/connection.h"
#include "net/consumer_setup.h"
#include "net/jetstream.h"
#include "net/micro.h"
#include "net/nats_egress.h"
#include "net/pub_ack.h"
#include "net/pull_source.h"
#include "net/random_id.h"
#include "net/rule_streams.h"

namespace expirer {
namespace {

TEST(Publish, OnlyALostConnectionIsTakenForOne) {
  using Sent = Connection::Sent;
  for (const natsStatus gone : {NATS_CONNECTION_CLOSED, NATS_CONNECTION_DISCONNECTED,
                                NATS_STALE_CONNECTION, NATS_DRAINING})
    EXPECT_EQ(Connection::SentBy(gone), Sent::kDown) << natsStatus_GetText(gone);
  for (const natsStatus error :
       {NATS_ERR, NATS_NO_MEMORY, NATS_INSUFFICIENT_BUFFER, NATS_SYS_ERROR, NATS_TIMEOUT,
        NATS_NOT_PERMITTED, NATS_ILLEGAL_STATE, NATS_PROTOCOL_ERROR, NATS_IO_ERROR})
    EXPECT_EQ(Connection::SentBy(error), Sent::kError) << natsStatus_GetText(error);
  EXPECT_EQ(Connection::SentBy(NATS_OK), Sent::kOk);
  EXPECT_EQ(Connection::SentBy(NATS_MAX_PAYLOAD), Sent::kTooLarge);
  EXPECT_EQ(Connection::SentBy(NATS_INVALID_SUBJECT), Sent::kInvalid);
  EXPECT_EQ(Connection::SentBy(NATS_NO_SERVER_SUPPORT), Sent::kNoHeaders);
}

TEST(AckSubject, Version1HasNineTokens) {
  const auto ack = ParseAckSubject(
      "$JS.ACK.ORDERS.expirer-r.2.1234567890123.77.1700000000123456789.42");
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->stream, "ORDERS");
  EXPECT_EQ(ack->consumer, "expirer-r");
  EXPECT_EQ(ack->delivered, 2U);
  EXPECT_EQ(ack->stream_seq, 1234567890123U);
  EXPECT_EQ(ack->consumer_seq, 77U);
  EXPECT_EQ(ack->time_ns, 1700000000123456789);
  EXPECT_EQ(ack->pending, 42U);
}

TEST(AckSubject, Version2HasDomainAndAccountBefore) {
  for (const char* tail : {"", ".random"}) {
    const std::string subject = std::string("$JS.ACK.hub.AbC.S.C.1.9.8.7.6") + tail;
    const auto ack = ParseAckSubject(subject);
    ASSERT_TRUE(ack.has_value()) << tail;
    EXPECT_EQ(ack->stream, "S");
    EXPECT_EQ(ack->stream_seq, 9U);
    EXPECT_EQ(ack->consumer_seq, 8U);
    EXPECT_EQ(ack->time_ns, 7);
    EXPECT_EQ(ack->pending, 6U);
  }
}

TEST(AckSubject, AnythingElseIsRefused) {
  for (const char* bad :
       {"", ".", "$JS.ACK", "$JS.ACK.S.C.1.2.3.4", "$JS.ACK.S.C.1.2.3.4.5.6",
        "$JS.ACK.S.C.1.2.3.4.x", "$JS.ACK.S.C.1.0.3.4.5", "$JS.ACK.S.C.1.-2.3.4.5",
        "$JS.ACK.S.C.1.2.3.4.5.", "$JS.ACK.S..1.2.3.4.5", "_INBOX.a.b.c.1.2.3.4.5",
        "$JS.ACK.d.a.S.C.1.2.3.4.5.6.7", "$JS.ACK.S.C.1.99999999999999999999.3.4.5"}) {
    EXPECT_FALSE(ParseAckSubject(bad).has_value()) << bad;
  }
}

struct PubAckCase {
  int status;
  const char* payload;
  PubAnswer::Kind kind;
  uint64_t seq;
  const char* text;
};

TEST(PubAck, OnlyAStreamAndASequenceConfirm) {
  using Kind = PubAnswer::Kind;
  const PubAckCase cases[] = {
      {0, R"({"stream":"S","seq":7})", Kind::kAck, 7, ""},
      {0, R"({"stream":"S", "domain":"hub", "seq":18446744073709551615})", Kind::kAck,
       18446744073709551615U, ""},
      {0, R"({"stream":"S","seq":3,"duplicate":true})", Kind::kAck, 3, ""},
      {0, R"({"stream":"S","seq":0,"duplicate":true})", Kind::kRetry, 0,
       "unexpected answer"},
      {0, R"({"stream":"S","seq":-1})", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"stream":"S","seq":1.5})", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"stream":"S","seq":"7"})", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"stream":"","seq":7})", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"seq":7})", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"stream":"S"})", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"stream":"S","seq":7)", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"stream":"S","seq":7}x)", Kind::kRetry, 0, "unexpected answer"},
      {0, R"({"stream":"S","seq":7,"seq":8})", Kind::kRetry, 0, "unexpected answer"},
      {0, "+OK", Kind::kRetry, 0, "unexpected answer"},
      {0, "", Kind::kRetry, 0, "unexpected answer"},
      {0, "[]", Kind::kRetry, 0, "unexpected answer"},
      {503, "", Kind::kNoStream, 0, "no stream has the target"},
      {408, "", Kind::kRetry, 0, "unexpected answer: status 408 words"},
      {0,
       R"({"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},)"
       R"("stream":"S","seq":0})",
       Kind::kRefused, 0, "maximum messages exceeded (10077)"},
      {0, R"({"error":{"code":409,"err_code":10158,"description":"in process"}})",
       Kind::kRetry, 0, "in process (10158)"},
      {0, R"({"error":{"code":503,"description":"no"},"stream":"S","seq":5})",
       Kind::kRefused, 0, "no (503)"},
      {0, R"({"error":{}})", Kind::kRefused, 0, "error (0)"},
      {0,
       R"({"error":{"code":400,"err_code":10054,)"
       R"("description":"message size exceeds maximum allowed"},"stream":"S","seq":0})",
       Kind::kNever, 0, "message size exceeds maximum allowed (10054)"},
      {0,
       R"({"error":{"code":400,"err_code":10097,)"
       R"("description":"header size exceeds maximum allowed of 64k"}})",
       Kind::kNever, 0, "header size exceeds maximum allowed of 64k (10097)"},
      {0, R"({"error":{"code":503,"err_code":10077,"description":"message too large"}})",
       Kind::kNever, 0, "message too large (10077)"},
      {0, R"({"error":{"code":503,"err_code":10077,"description":"message to large"}})",
       Kind::kNever, 0, "message to large (10077)"},
      {0, R"({"error":{"code":400,"err_code":10109,"description":"sealed"}})",
       Kind::kRefused, 0, "sealed (10109)"},
  };
  PubAckReader reader;
  for (const PubAckCase& one : cases) {
    const PubAnswer answer = reader.Read(42, {one.status, "words"}, one.payload);
    EXPECT_EQ(answer.attempt, 42U);
    EXPECT_EQ(answer.kind, one.kind) << one.payload;
    EXPECT_EQ(answer.stream_seq, one.seq) << one.payload;
    EXPECT_EQ(answer.text, one.text) << one.payload;
  }
}

TEST(PullStatusTable, EveryStatusHasItsMeaning) {
  const struct {
    int code;
    const char* text;
    PullStatus meaning;
  } cases[] = {
      {100, "Idle Heartbeat", PullStatus::kHeartbeat},
      {404, "No Messages", PullStatus::kPause},
      {408, "Request Timeout", PullStatus::kEnded},
      {408, "Requests Pending", PullStatus::kEnded},
      {409, "Message Size Exceeds MaxBytes", PullStatus::kTooLarge},
      {409, "Exceeded MaxRequestBatch of 250", PullStatus::kLimited},
      {409, "Exceeded MaxRequestExpires of 5s", PullStatus::kLimited},
      {409, "Exceeded MaxRequestMaxBytes of 1048576", PullStatus::kLimited},
      {409, "Batch Completed", PullStatus::kEnded},
      {409, "Exceeded MaxWaiting", PullStatus::kPause},
      {409, "Leadership Change", PullStatus::kBroken},
      {409, "Server Shutdown", PullStatus::kBroken},
      {409, "Consumer Deleted", PullStatus::kBroken},
      {409, "Consumer is push based", PullStatus::kBroken},
      {400, "Bad Request", PullStatus::kBroken},
      {503, "", PullStatus::kBroken},
      {423, "Nats-Wrong-Pin-Id", PullStatus::kBroken},
      {299, "New", PullStatus::kUnknown},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(ReadPullStatus({one.code, one.text}), one.meaning) << one.code << one.text;
  }
}

TEST(PullLimits, AreLearntFromTheWordsOfARefusalAndOnlyOnce) {
  PullLimits limits;
  EXPECT_TRUE(limits.Learn("Exceeded MaxRequestBatch of 250"));
  EXPECT_EQ(limits.batch, 250U);
  EXPECT_FALSE(limits.Learn("Exceeded MaxRequestBatch of 250"));
  EXPECT_TRUE(limits.Learn("Exceeded MaxRequestBatch of 100"));
  EXPECT_TRUE(limits.Learn("Exceeded MaxRequestMaxBytes of 1048576"));
  EXPECT_EQ(limits.bytes, 1'048'576U);
  EXPECT_TRUE(limits.Learn("Exceeded MaxRequestExpires of 1m0s"));
  EXPECT_EQ(limits.expires_ms, 60'000);
  EXPECT_TRUE(limits.Learn("Exceeded MaxRequestExpires of 1.5s"));
  EXPECT_EQ(limits.expires_ms, 1'500);
  for (const char* words : {"Exceeded MaxRequestBatch of 0", "Exceeded MaxRequestBatch",
                            "Exceeded MaxRequestExpires of 10µs", "Exceeded MaxWaiting"})
    EXPECT_FALSE(limits.Learn(words)) << words;
}

TEST(DeniedSubject, IsTakenFromTheServersWords) {
  EXPECT_EQ(DeniedSubject("Permissions Violation for Publish to \"a.b\""), "a.b");
  EXPECT_EQ(DeniedSubject("Permissions Violation for Publish to \"a.b"), "a.b");
  EXPECT_EQ(DeniedSubject("'Permissions Violation for Publish to \"a.b\"'"), "a.b");
  EXPECT_EQ(DeniedSubject("Permissions Violation for Subscription to \"a.b\""), "");
  EXPECT_EQ(DeniedSubject("Stale Connection"), "");
}

TEST(Servers, SchemesOfOtherToolsAreUnderstood) {
  bool secure = false;
  EXPECT_EQ(NormalizeServer("http://nats-srv:4222", &secure), "nats://nats-srv:4222");
  EXPECT_EQ(NormalizeServer(" nats-srv ", &secure), "nats://nats-srv");
  EXPECT_EQ(NormalizeServer("nats://u:p@h:4222/", &secure), "nats://u:p@h:4222");
  EXPECT_FALSE(secure);
  EXPECT_EQ(NormalizeServer("tls://h", &secure), "tls://h");
  EXPECT_TRUE(secure);
  EXPECT_EQ(SplitServers("a:1, nats://b,,"),
            (std::vector<std::string>{"a:1", "nats://b"}));
  EXPECT_TRUE(SplitServers("").empty());
}

TEST(Servers, ALoginOfAUrlIsPercentDecoded) {
  const auto login = [](const std::vector<std::string>& servers) {
    const UrlLogin of = LoginOf(servers);
    return of.user + "|" + of.password + "|" + of.token;
  };
  EXPECT_EQ(login({"nats://u:pa%24%24word!@h:4222"}), "u|pa$$word!|");
  EXPECT_EQ(login({"h", "tls://a%40b:c%3Ad%2fe@h"}), "a@b|c:d/e|");
  EXPECT_EQ(login({"nats://t%25k@h"}), "||t%k");
  EXPECT_EQ(login({"u:100%@h"}), "u|100%|") << "no pair of hex digits";
  EXPECT_EQ(login({"u:p@ss@h"}), "u|p@ss|");
  EXPECT_EQ(login({"nats://h:4222", "[::1]:4222"}), "||");
}

TEST(WithMember, ReplacesAddsAndRemovesOneMemberOnly) {
  const std::string object =
      R"({"a" : 1,"s":"x\",}{","filter_subject":"q","n":{"filter_subject":2,"l":[1,{"z":"]"}]}})";
  EXPECT_EQ(
      WithMember(object, "filter_subject", "\"w\""),
      R"({"a" : 1,"s":"x\",}{","n":{"filter_subject":2,"l":[1,{"z":"]"}]},"filter_subject":"w"})");
  EXPECT_EQ(WithMember(object, "n", ""),
            R"({"a" : 1,"s":"x\",}{","filter_subject":"q"})");
  EXPECT_EQ(WithMember("{}", "a", "1"), R"({"a":1})");
  EXPECT_EQ(WithMember("{\"a\":1}", "a", ""), "{}");
}

TEST(JetStreamReply, AnErrorKeepsItsCode) {
  const auto info = JetStream::ReadConsumer(
      R"({"type":"t","error":{"code":404,"err_code":10014,"description":"consumer not found"}})");
  ASSERT_FALSE(info.ok());
  EXPECT_EQ(JetStreamCode(info.status()), kConsumerNotFound);
  EXPECT_EQ(info.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(info.status()), "consumer not found (10014)");
  EXPECT_EQ(JetStreamCode(Unavailable("x")), 0);
}

TEST(JetStreamReply, SubjectsAreReadInOrder) {
  const auto info = JetStream::ReadStream(
      R"({"config":{"name":"S","subjects":["a.*","b\"\\>","c"]},"created":"2026-01-01T00:00:00Z",)"
      R"("state":{"first_seq":2,"last_seq":9}})");
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->subjects, (std::vector<std::string>{"a.*", "b\"\\>", "c"}));
  EXPECT_EQ(info->last_seq, 9U);
  EXPECT_EQ(info->last_time_ns, 0);
  EXPECT_TRUE(JetStream::ReadStreamNames(R"({"total":0,"streams":null})")->empty());
}

TEST(JetStreamReply, AStreamThatTakesFromOthersIsKnown) {
  for (const auto& [more, sourced] :
       {std::pair("", false), std::pair(R"(,"mirror":{"name":"T"})", true),
        std::pair(R"(,"sources":[{"name":"T"}])", true)}) {
    const auto info =
        JetStream::ReadStream(R"({"config":{"name":"S")" + std::string(more) + "}}");
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->sourced, sourced) << more;
  }
}

TEST(JetStreamReply, RetentionAndTheNewestMessagesTimeAreRead) {
  const auto read = [](const std::string& last_ts) {
    return JetStream::ReadStream(
        R"({"config":{"name":"S","retention":"workqueue"},"state":{"last_ts":")" +
        last_ts + R"("}})");
  };
  const auto info = read("2027-02-01T10:00:00.000000001Z");
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->retention, "workqueue");
  EXPECT_EQ(info->last_time_ns, 1'801'476'000'000'000'001);
  EXPECT_EQ(read("0001-01-01T00:00:00Z")->last_time_ns, 0) << "an empty stream's";
}

TEST(StoredFloor, SurvivesCodingAndRefusesNonsense) {
  const auto mark = DecodeFloor(EncodeFloor({"2026-01-01T00:00:00.5Z", 77}));
  ASSERT_TRUE(mark.has_value());
  EXPECT_EQ(mark->created, "2026-01-01T00:00:00.5Z");
  EXPECT_EQ(mark->floor, 77U);
  EXPECT_FALSE(DecodeFloor("").has_value());
  EXPECT_FALSE(DecodeFloor("x\n").has_value());
  EXPECT_FALSE(DecodeFloor("x\n7y").has_value());
}

TEST(StoredFloor, CountsOnlyForTheSameLifeOfTheStream) {
  const StreamInfo stream{"S", {"a"}, "t1", 1, 100};
  EXPECT_EQ(StartAfter(StoredFloor{"t1", 40}, stream), 40U);
  EXPECT_EQ(StartAfter(StoredFloor{"t1", 100}, stream), 100U);
  EXPECT_FALSE(StartAfter(StoredFloor{"t1", 101}, stream).has_value());
  EXPECT_FALSE(StartAfter(StoredFloor{"t2", 40}, stream).has_value());
  EXPECT_FALSE(StartAfter(StoredFloor{"t1", 0}, stream).has_value());
  EXPECT_FALSE(StartAfter(std::nullopt, stream).has_value());
}

TEST(ConsumerSetup, DeliverSaysWhereTheVeryFirstConsumerBegins) {
  EXPECT_EQ(DeliverPolicy(std::nullopt, {}), R"("deliver_policy":"all")");
  EXPECT_EQ(DeliverPolicy(std::nullopt, {Deliver::From::kNew}),
            R"("deliver_policy":"new")");
  EXPECT_EQ(DeliverPolicy(std::nullopt, {Deliver::From::kTime, 1'795'369'724'123}),
            R"("deliver_policy":"by_start_time",)"
            R"("opt_start_time":"2026-11-22T17:48:44.123Z")");
  EXPECT_EQ(DeliverPolicy(41, {Deliver::From::kNew}),
            R"("deliver_policy":"by_start_sequence","opt_start_seq":42)")
      << "one that was lost goes on where it had been";
}

TEST(NarrowFilters, DropsWhatAnotherCovers) {
  EXPECT_EQ(NarrowFilters({"b", "a.*", "a.x", "b"}),
            (std::vector<std::string>{"a.*", "b"}));
}

TEST(JetStreamReply, WhatAStreamTakesFromOthersAndItsTransformsAreRead) {
  const auto info = JetStream::ReadStream(
      R"({"config":{"name":"S","subjects":["a.>"],)"
      R"("subject_transform":{"src":"a.>","dest":"b.>"},"sources":[)"
      R"({"name":"T","filter_subject":"t.*"},)"
      R"({"name":"U","external":{"api":"$JS.d.API"},"subject_transforms":[)"
      R"({"src":"u.*","dest":"v.$1"},{"src":"","dest":"w.>"}]}]}})");
  ASSERT_TRUE(info.ok());
  ASSERT_TRUE(info->transform.has_value());
  EXPECT_EQ(info->transform->from, "a.>");
  EXPECT_EQ(info->transform->to, "b.>");
  ASSERT_EQ(info->origins.size(), 2U);
  EXPECT_EQ(info->origins[0].filter, "t.*");
  EXPECT_FALSE(info->origins[0].external);
  EXPECT_EQ(info->origins[1].name, "U");
  EXPECT_TRUE(info->origins[1].external);
  ASSERT_EQ(info->origins[1].transforms.size(), 2U);
  EXPECT_EQ(info->origins[1].transforms[0].to, "v.$1");
  EXPECT_EQ(info->origins[1].transforms[1].from, ">");
  const auto mirror = JetStream::ReadStream(
      R"({"config":{"name":"M","mirror":{"name":"S","filter_subject":"b.x"}}})");
  ASSERT_EQ(mirror->origins.size(), 1U);
  EXPECT_EQ(mirror->origins[0].filter, "b.x");
  EXPECT_FALSE(mirror->transform.has_value());
}

TEST(Transformed, FollowsTokensAndWidensWhatItCannotTell) {
  EXPECT_EQ(Transformed({"orders.>", "evt.orders.>"}, "orders.created"),
            "evt.orders.created");
  EXPECT_EQ(Transformed({"orders.>", "evt.orders.>"}, "orders.*.x"), "evt.orders.*.x");
  EXPECT_EQ(Transformed({"*.b.*", "x.$2.{{wildcard(1)}}"}, "a.b.c"), "x.c.a");
  EXPECT_EQ(Transformed({"*.b.*", "x.$2.{{wildcard(1)}}"}, "*.b.c"), "x.c.*");
  EXPECT_EQ(Transformed({"a.*", "a.{{partition(9,1)}}.$1"}, "a.k"), "a.*.k");
  EXPECT_EQ(Transformed({"a.*", "b.{{split(1,-)}}.z"}, "a.k"), "b.>");
  EXPECT_EQ(Transformed({">", "all.>"}, "a.b"), "all.a.b");
  EXPECT_EQ(Transformed({"a.*", ""}, "a.b"), "a.b") << "only lets them in";
}

StreamInfo StreamOf(std::vector<std::string> subjects,
                    std::optional<SubjectTransform> transform = {},
                    std::vector<StreamOrigin> origins = {}) {
  StreamInfo stream;
  stream.name = "S";
  stream.subjects = std::move(subjects);
  stream.transform = std::move(transform);
  stream.origins = std::move(origins);
  return stream;
}

// Origins in other domains are not asked.
TEST(StoredSubjects, AreThoseAfterEveryTransform) {
  using Subjects = std::vector<std::string>;
  const auto stored = [](const StreamInfo& stream) {
    return StoredSubjects(nullptr, stream);
  };
  EXPECT_EQ(stored(StreamOf({"a.>", "b"})), (Subjects{"a.>", "b"}));
  EXPECT_EQ(stored(StreamOf({"a.>", "b"}, SubjectTransform{"a.>", "x.a.>"})),
            (Subjects{"b", "x.a.>"}));
  EXPECT_EQ(stored(StreamOf({"a.>"}, SubjectTransform{"a.c.*", "x.$1"})),
            (Subjects{"a.>", "x.*"}))
      << "what it is not for stays as it is";
  EXPECT_EQ(stored(StreamOf({"a.c"}, SubjectTransform{"a.*", "x.$1"})), Subjects{"x.c"});
  EXPECT_EQ(stored(StreamOf({}, {}, {{"T", "", {}, true}})), Subjects{">"});
  EXPECT_EQ(stored(StreamOf({}, {}, {{"T", "t.*", {}, true}})), Subjects{"t.*"});
  EXPECT_EQ(stored(StreamOf({}, {}, {{"T", "", {{"t.>", "u.>"}, {"v", ""}}, true}})),
            (Subjects{"u.>", "v"}))
      << "what none is for is left out";
  EXPECT_EQ(
      stored(StreamOf({"a.x"}, SubjectTransform{">", "all.>"}, {{"T", "t.*", {}, true}})),
      (Subjects{"all.a.x", "all.t.*"}));
}

TEST(StoredSubjects, AFilterThatCannotMatchThemIsRefusedWithTheMend) {
  const auto why = [](const StreamInfo& stream, const std::string& filter) {
    return std::string(
        CheckStores(stream, StoredSubjects(nullptr, stream), filter).message());
  };
  const StreamInfo in =
      StreamOf({"orders.>"}, SubjectTransform{"orders.>", "evt.orders.>"});
  EXPECT_EQ(why(in, "evt.orders.created"), "");
  EXPECT_EQ(why(in, ">"), "");
  EXPECT_EQ(why(in, "orders.created"),
            "stream S stores orders.created as evt.orders.created, by a subject "
            "transform, so orders.created would never match; write `subject: "
            "evt.orders.created` with `stream: S`");
  EXPECT_EQ(why(in, "paid"),
            "stream S stores nothing that paid matches, only evt.orders.>; write the "
            "subject as it is stored, or name another `stream`");
  const StreamInfo sourced = StreamOf({}, {}, {{"T", "", {{"t.*", "u.$1"}}, true}});
  EXPECT_NE(why(sourced, "t.a").find("write `subject: u.a`"), std::string::npos)
      << why(sourced, "t.a");
}

TEST(RuleFilters, AreOfAnyStreamOrOfTheOneNamed) {
  Rule rule;
  const auto entry = [](const std::string& subject, const std::string& stream) {
    Entry one;
    one.subject = subject;
    one.stream = stream;
    return one;
  };
  rule.schedule = {entry("a.x", ""), entry("evt.>", "M"), entry("evt.x", "M")};
  rule.cancel = {entry("a.*", ""), entry("c", "N")};
  const RuleFilters filters = FiltersOf(rule);
  EXPECT_EQ(filters.anywhere, std::vector<std::string>{"a.*"});
  ASSERT_EQ(filters.named.size(), 2U);
  StreamInfo stream = StreamOf({"a.>"});
  EXPECT_EQ(FiltersFor(filters, stream), std::vector<std::string>{"a.*"});
  EXPECT_FALSE(IsOnlyNamed(filters, stream));
  stream.name = "M";
  EXPECT_EQ(FiltersFor(filters, stream), (std::vector<std::string>{"a.*", "evt.>"}));
  stream.subjects.clear();
  EXPECT_EQ(FiltersFor(filters, stream), std::vector<std::string>{"evt.>"});
  EXPECT_TRUE(IsOnlyNamed(filters, stream));
  stream.name = "OTHER";
  EXPECT_TRUE(FiltersFor(filters, stream).empty());
}

TEST(RandomId, IsLongAndNeverTheSame) {
  EXPECT_EQ(RandomId().size(), 22U);
  EXPECT_NE(RandomId(), RandomId());
}

TEST(ReplySubject, IsAnInboxOrNobodysOfOurs) {
  const std::vector<std::string> filters = {"orders.*", "out.expired"};
  const auto may = [&filters](std::string_view subject) {
    return MayReplyTo(subject, "svc", filters);
  };
  for (const char* subject :
       {"_INBOX.a", "_R_.a.b", "_INBOX_app.a", "orders.created.too", "svcs.v1.cancel",
        "_GR_.cluster.server._INBOX.a", "_GR_.cluster.server.answers.here"})
    EXPECT_TRUE(may(subject)) << subject;
  for (const char* subject :
       {"$JS.API.STREAM.PURGE.X", "$JS.ACK.S.C.1", "svc.v1.cancel", "orders.created",
        "orders.>", "*.created", ">", "out.expired", "_GR_.cluster.server.$JS.API.X",
        "_GR_.cluster.server.orders.created", "_GR_.$JS"})
    EXPECT_FALSE(may(subject)) << subject;
}

}  // namespace
}  // namespace expirer
