#include "app/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/client.h"
#include "app/context.h"
#include "app/out_file.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/signals.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/visible.h"
#include "job/rules.h"
#include "json/value.h"
#include "net/jetstream.h"
#include "net/stream_reader.h"
#include "replay/trace_merge.h"
#include "replay/trace_writer.h"

namespace expirer {
namespace {

// A connection that was lost may take this many times --timeout to come back.
constexpr int64_t kPatience = 6;
// How many left-out messages are printed one by one, and how many streams are named.
constexpr size_t kLeftOutTold = 10;
constexpr size_t kStreamsNamed = 20;

struct RecordFlags {
  ClientFlags connection;
  std::vector<std::string> streams;
  std::string subject, since, until, out;
  std::string timeout = "5s";
};

// The times to record, both included.
struct Span {
  int64_t since_ns = 0;
  int64_t until_ns = std::numeric_limits<int64_t>::max();
};

// The consumer's filter for `wanted`, where every server takes it: those before
// 2.10 refuse one that is wider than each subject of the stream. What comes
// beyond it is left out here.
std::string ServerFilter(const StreamInfo& stream, const std::string& wanted) {
  const bool narrow = std::any_of(
      stream.subjects.begin(), stream.subjects.end(),
      [&wanted](const std::string& one) { return SubjectCovers(one, wanted); });
  return narrow ? wanted : "";
}

bool MayHold(const StreamInfo& stream, const std::string& wanted) {
  return wanted.empty() || stream.sourced ||
         std::any_of(
             stream.subjects.begin(), stream.subjects.end(),
             [&wanted](const std::string& one) { return SubjectsOverlap(one, wanted); });
}

// Other retentions delete acked messages, and a consumer would influence that.
absl::Status CheckRetention(const StreamInfo& stream) {
  if (stream.retention == "limits") return absl::OkStatus();
  return Refused(fmt::format(
      "stream {} has {} retention: it holds only messages that are not acked yet, and "
      "reading could remove some; record a stream with limits retention that sources it",
      stream.name, stream.retention));
}

class Recording {
 public:
  Recording(const RecordFlags& flags, Span span, ConnectionOptions options,
            int64_t timeout_ms)
      : flags_(flags),
        span_(span),
        timeout_ms_(timeout_ms),
        out_(flags.out),
        domain_(options.domain),
        client_(std::move(options), "expirer", timeout_ms),
        js_(&client_.requests(), domain_, timeout_ms) {}
  ~Recording() {
    for (Stream& stream : streams_) stream.reader->Close();
    client_.Stop();  // before the readers go
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  absl::Status Run() {
    RETURN_IF_ERROR(out_.Open());
    RETURN_IF_ERROR(client_.Connect(Interrupted));
    if (const absl::Status found = Look(); !found.ok()) return Explained(found);
    if (const absl::Status read = Read(); !read.ok()) return Kept(Explained(read));
    Flush();
    RETURN_IF_ERROR(out_.Commit());
    Tell();
    return absl::OkStatus();
  }

 private:
  struct Stream {
    std::string name;
    uint64_t first_look_seq = 0;  // its last message when it was looked at first
    std::unique_ptr<StreamReader> reader;
    StreamMessage message = {};  // reused
  };

  // Finds the streams and where recording ends: with the newest message that any
  // of them holds now. Each is asked twice, so that what was stored in one while
  // another was asked is not missing in the middle of the trace.
  absl::Status Look() {
    std::vector<StreamInfo> infos;
    for (const std::string& name : flags_.streams) {
      ASSIGN_OR_RETURN(infos.emplace_back(), Info(name));
      RETURN_IF_ERROR(CheckRetention(infos.back()));
      newest_ns_ = std::max(newest_ns_, infos.back().last_time_ns);
    }
    for (const StreamInfo& info : infos)
      if (MayHold(info, flags_.subject)) RETURN_IF_ERROR(Add(info));
    if (streams_.empty())
      return NotFound(fmt::format("no subject of {} is matched by {}",
                                  fmt::join(flags_.streams, ", "), flags_.subject));
    return absl::OkStatus();
  }

  absl::StatusOr<StreamInfo> Info(const std::string& name) {
    auto info = js_.Stream(name);
    if (info.ok()) return info;
    if (JetStreamCode(info.status()) == kStreamNotFound)
      return NotFound("there is no stream " + name + Others());
    return Annotate(info.status(), "stream " + name);
  }

  // The streams that there are, where they may be known.
  std::string Others() {
    auto names = js_.StreamNames("");
    if (!names.ok()) return "";
    if (names->empty()) return "; there are no streams";
    std::sort(names->begin(), names->end());
    const bool more = names->size() > kStreamsNamed;
    if (more) names->resize(kStreamsNamed);
    return fmt::format("; there are: {}{}", fmt::join(*names, ", "), more ? ", …" : "");
  }

  absl::Status Add(const StreamInfo& first_look) {
    ASSIGN_OR_RETURN(const StreamInfo now, Info(first_look.name));
    StreamReader::Options options;
    options.stream = now.name;
    options.filter = ServerFilter(now, flags_.subject);
    options.since_ns = span_.since_ns;
    options.last_seq = now.last_seq;
    options.timeout_ms = timeout_ms_;
    options.patience_ms = kPatience * timeout_ms_;
    options.stopped = Interrupted;
    streams_.push_back({now.name, first_look.last_seq,
                        std::make_unique<StreamReader>(options, &client_.connection(),
                                                       &replies_, &js_)});
    return absl::OkStatus();
  }

  // The next message of the stream that is asked for.
  absl::StatusOr<bool> NextOf(Stream* stream, TraceLine* line) {
    StreamMessage& message = stream->message;
    while (true) {
      ASSIGN_OR_RETURN(const bool more, stream->reader->Next(&message));
      if (!more) return false;
      if (message.seq > stream->first_look_seq && message.time_ns > newest_ns_)
        return false;
      if (flags_.subject.empty() || SubjectMatches(flags_.subject, message.subject))
        break;
    }
    line->at_ns = message.time_ns;
    line->stream = stream->name;
    line->seq = message.seq;
    line->subject.swap(message.subject);
    line->headers.swap(message.headers);
    line->payload.swap(message.payload);
    return true;
  }

  absl::Status Read() {
    std::vector<TraceMerge::Source> sources;
    for (Stream& stream : streams_)
      sources.emplace_back(
          [this, &stream](TraceLine* line) { return NextOf(&stream, line); });
    TraceMerge merge(std::move(sources));
    std::optional<Progress> progress;
    TraceLine line;
    while (true) {
      if (Interrupted()) return MakeStatus(absl::StatusCode::kCancelled, "stopped");
      ASSIGN_OR_RETURN(const bool more, merge.Next(&line));
      if (!more || line.at_ns > span_.until_ns) break;
      if (first_ns_ == 0) first_ns_ = line.at_ns;
      if (!progress) progress.emplace(Milliseconds(std::min(newest_ns_, span_.until_ns)));
      Write(line);
      if (!out_.good()) return out_.Commit();
      progress->At(Milliseconds(line.at_ns), messages_);
    }
    raised_ = merge.raised();
    return absl::OkStatus();
  }

  // Of the recorded time, from its first message on.
  [[nodiscard]] uint64_t Milliseconds(int64_t until_ns) const {
    return static_cast<uint64_t>(std::max<int64_t>(until_ns - first_ns_, 0) / kNsInMs);
  }

  void Write(const TraceLine& line) {
    if (const absl::Status fits = CheckTraceable(line); !fits.ok()) {
      if (++left_out_ <= kLeftOutTold)
        told_ += Visible(fmt::format("{} {} is left out: {}", line.stream, line.seq,
                                     Message(fits))) +
                 "\n";
      return;
    }
    if (line.at_ns != last_ns_) Flush();
    last_ns_ = line.at_ns;
    AppendTraceLine(line, &lines_);
    lines_ += '\n';
    ++messages_;
  }

  void Flush() {
    if (lines_.empty()) return;
    out_.Write(lines_);
    written_ = true;
    lines_.clear();
  }

  // `why` with what the server said by itself, such as a permission that is missing.
  absl::Status Explained(const absl::Status& why) {
    const std::vector<std::string> errors = client_.errors();
    if (errors.empty()) return why;
    return MakeStatus(why.code(), Message(why) + " (" + errors.back() + ")");
  }

  // The recording was interrupted for the reason `why`: leaves the file with whole
  // nanoseconds only, and says how to record the rest.
  absl::Status Kept(const absl::Status& why) {
    if (!written_ || !out_.good()) return why;
    ASSIGN_OR_RETURN(const std::string name, out_.CommitPart());
    const std::string at = FormatRfc3339Ns(last_ns_);
    return MakeStatus(
        why.code(),
        fmt::format("{}; {} has everything before {}; --since {} records the rest",
                    Message(why), name.empty() ? "what was printed" : name, at, at));
  }

  void Tell() {
    PrintErr(told_);
    if (left_out_ > kLeftOutTold) Say(fmt::format("… {} in all", left_out_));
    if (raised_ > 0)
      Say(
          fmt::format("{} messages had an earlier time than the one before them in their "
                      "stream: the trace has the later time",
                      raised_));
    Say(fmt::format("{:<10}{}", "messages", messages_));
    if (messages_ == 0) return;
    const int64_t end_ns = std::min(std::max(newest_ns_, last_ns_), span_.until_ns);
    PrintErr(fmt::format("{:<10}{}\n{:<10}{}\n{:<10}{}\n", "first",
                         FormatRfc3339Ns(first_ns_), "last", FormatRfc3339Ns(last_ns_),
                         "next", FormatRfc3339Ns(end_ns + 1)));
  }

  const RecordFlags& flags_;
  const Span span_;
  const int64_t timeout_ms_;
  OutFile out_;
  const std::string domain_;
  Client client_;
  JetStream js_;
  PullReplies replies_{&client_.connection()};
  std::deque<Stream> streams_;  // in the order of the flags
  int64_t newest_ns_ = 0;       // when the last message was stored, at the start

  std::string lines_;     // of the nanosecond last_ns_, not written yet
  bool written_ = false;  // some line was
  int64_t first_ns_ = 0;  // 0 = there was none
  int64_t last_ns_ = 0;
  uint64_t messages_ = 0;
  uint64_t raised_ = 0;
  size_t left_out_ = 0;
  std::string told_;  // of those
};

// The stream's name becomes a token of a subject.
absl::Status CheckStreams(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (name.empty() || !CheckMessageSubject(name).ok() || !IsUtf8(name) ||
        name.find_first_of("./\\*>") != name.npos)
      return Invalid("--stream " + name + ": no stream can have this name");
    if (std::find(names.begin(), names.begin() + static_cast<ptrdiff_t>(i), name) !=
        names.begin() + static_cast<ptrdiff_t>(i))
      return Invalid("--stream " + name + ": it is there twice");
  }
  return absl::OkStatus();
}

absl::Status ReadTime(const std::string& flag, const std::string& text, int64_t* ns) {
  if (text.empty()) return absl::OkStatus();
  const auto parsed = ParseRfc3339Ns(text);
  if (!parsed.ok()) return Invalid(flag + " " + text + ": " + Message(parsed.status()));
  *ns = *parsed;
  return absl::OkStatus();
}

absl::StatusOr<Span> ReadSpan(const RecordFlags& flags) {
  Span span;
  RETURN_IF_ERROR(ReadTime("--since", flags.since, &span.since_ns));
  RETURN_IF_ERROR(ReadTime("--until", flags.until, &span.until_ns));
  if (span.since_ns > span.until_ns)
    return Invalid("--since " + flags.since + " is after --until " + flags.until);
  return span;
}

// What the flags ask for.
struct Wanted {
  Span span;
  int64_t timeout_ms = 0;
  ConnectionOptions connection;
};

// Errors are bad usage.
absl::StatusOr<Wanted> ReadFlags(const RecordFlags& flags) {
  RETURN_IF_ERROR(CheckStreams(flags.streams));
  if (const absl::Status fits = CheckSubjectFilter(flags.subject);
      !flags.subject.empty() && !fits.ok())
    return Annotate(fits, "--subject " + flags.subject);
  Wanted wanted;
  ASSIGN_OR_RETURN(wanted.span, ReadSpan(flags));
  ASSIGN_OR_RETURN(wanted.timeout_ms, ParseTimeout(flags.timeout));
  ASSIGN_OR_RETURN(wanted.connection,
                   ClientOptions(flags.connection,
                                 [](const char* name) { return std::getenv(name); }));
  return wanted;
}

int RunRecord(const RecordFlags& flags) {
  SetLog(Level::kError, LogFormat::kText);
  auto wanted = ReadFlags(flags);
  if (!wanted.ok()) return Fail(wanted.status(), kUsage);
  const Span span = wanted->span;
  if (!flags.until.empty() && span.until_ns / kNsInMs > SystemClock().NowMs())
    Say("--until is in the future: recorded only the messages up to now");
  CatchInterrupts();
  Recording recording(flags, span, std::move(wanted->connection), wanted->timeout_ms);
  const absl::Status status = recording.Run();
  return status.ok() ? kDone : Fail(status);
}

}  // namespace

void AddRecordCommand(CLI::App* app, int* code) {
  // Lives as long as the callback.
  const auto flags = std::make_shared<RecordFlags>();
  CLI::App* record = app->add_subcommand(
      "record", "write the messages of streams, merged by time, as a trace for replay");
  record
      ->add_option("--stream", flags->streams,
                   "streams with limits retention; separate several by commas, or repeat")
      ->required()
      ->delimiter(',');
  record->add_option("--subject", flags->subject,
                     "only messages that this filter matches, such as order.*");
  record->add_option("--since", flags->since,
                     "the earliest time, RFC 3339 up to nanoseconds; default: the "
                     "beginning of the streams");
  record->add_option("--until", flags->until,
                     "the latest time, RFC 3339 up to nanoseconds; default: that of the "
                     "newest message at the start");
  record->add_option("--out", flags->out,
                     "file for the trace, JSON lines, which appears once it is complete; "
                     "default: stdout");
  record->add_option("--timeout", flags->timeout,
                     "how long to wait for each answer; a reconnect may take six times "
                     "as long (5s)");
  AddClientFlags(record, &flags->connection);
  record->callback([flags, code] { *code = RunRecord(*flags); });
}

}  // namespace expirer
