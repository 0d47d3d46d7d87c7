// A busy service for a quarter of an hour, looked at each second: what grows?
// Several rules read a backlog, while orders fall due at a steady rate, keys are
// moved, a target refuses, one event in a hundred is bad, and dead entries are
// requeued and purged. Killed amid the backlog and once more soon after; the minutes
// are counted from the end of the backlog, and minute 3 and the last one are of one
// life of the process.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "absl/container/flat_hash_set.h"
#include "load/json_value.h"
#include "load/scenario.h"

namespace expirer::load {
namespace {

constexpr int64_t kFarMs = 24 * 3'600'000;
constexpr int64_t kSliceMs = 100;  // of the feed
// Orders, each published three seconds before it is due.
constexpr int64_t kOrderEveryMs = 2;
constexpr int64_t kOrderAheadMs = 3'000;
// Devices: each is heard of once a second, twenty times, and is missed thirty seconds
// after the last: so 1,000 keys are moved each second.
constexpr int64_t kDeviceEveryMs = 20;
constexpr int64_t kDeviceMoves = 20;
constexpr int64_t kHeardEveryMs = 1'000;
constexpr int64_t kMissedAfterMs = 30'000;
constexpr int64_t kRefusedEveryMs = 200;
constexpr int64_t kBadEveryMs = 67;  // one event in a hundred
constexpr uint64_t kDeadKept = 300;  // of each kind; what is more is purged
constexpr uint64_t kRequeuedEachSecond = 20;
constexpr uint64_t kMaxSeconds = 3'600;
constexpr double kMostRatio = 1.3;

// Bounds of the slice's part of things that happen each `every_ms` from `offset_ms` on.
struct Part {
  uint64_t begin, end;
};
Part PartOf(int64_t slice, int64_t every_ms, int64_t offset_ms) {
  const auto count = [&](int64_t until_ms) {
    const int64_t past = until_ms - offset_ms;
    return past <= 0 ? 0 : static_cast<uint64_t>((past + every_ms - 1) / every_ms);
  };
  return {count(slice * kSliceMs), count((slice + 1) * kSliceMs)};
}

// Publishes from a thread of its own until it is stopped, and then what devices that
// have begun still say.
class LiveFeed {
 public:
  LiveFeed(std::string url, std::string name, uint64_t seed)
      : url_(std::move(url)),
        name_(std::move(name)),
        seed_(seed),
        start_ms_(WallMs() + 1'000),
        orders_(Orders(kMaxSeconds * 1'000 / kOrderEveryMs)),
        devices_(Devices(kMaxSeconds * 1'000 / kDeviceEveryMs)),
        thread_([this] { status_ = Run(); }) {}
  ~LiveFeed() {
    stop_ = abandoned_ = true;
    if (thread_.joinable()) thread_.join();
  }

  // REQUIRES: not called before.
  absl::Status Stop() {
    stop_ = true;
    thread_.join();
    return status_;
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] int64_t late_ms() const { return late_ms_; }
  [[nodiscard]] uint64_t refused() const { return refused_; }
  [[nodiscard]] uint64_t bad() const { return bad_; }
  // Those published so far; all of them after Stop.
  [[nodiscard]] Jobs Orders() const { return Orders(orders_out_); }
  [[nodiscard]] Jobs Devices() const { return Devices(devices_out_); }

 private:
  [[nodiscard]] Jobs Orders(uint64_t count) const {
    return {Ids::kRandom,
            count,
            start_ms_ + kOrderAheadMs,
            static_cast<int64_t>(count) * kOrderEveryMs,
            seed_,
            "orders"};
  }
  [[nodiscard]] Jobs Devices(uint64_t count) const {
    return {Ids::kRandom,
            count,
            start_ms_ + (kDeviceMoves - 1) * kHeardEveryMs + kMissedAfterMs,
            static_cast<int64_t>(count) * kDeviceEveryMs,
            seed_ + 1,
            "devices"};
  }

  void Put(const std::string& subject, std::string payload) {
    slice_.push_back({name_ + "-live." + subject, {}, std::move(payload)});
  }
  void PutOrders(int64_t slice) {
    const Part part = PartOf(slice, kOrderEveryMs, 0);
    for (uint64_t n = part.begin; n < part.end; ++n) Put("order", orders_.Payload(n));
    orders_out_ = part.end;
    const Part refused = PartOf(slice, kRefusedEveryMs, 0);
    for (uint64_t n = refused.begin; n < refused.end; ++n)
      Put("refused", fmt::format(R"({{"id":"{}-{}"}})", seed_, n));
    refused_ = refused.end;
    const Part bad = PartOf(slice, kBadEveryMs, 0);
    for (uint64_t n = bad.begin; n < bad.end; ++n)
      Put("order", fmt::format(R"({{"id":"bad-{}","expiresAt":)", n));
    bad_ = bad.end;
  }
  // Of the devices that have begun.
  void PutDevices(int64_t slice) {
    for (int64_t nth = 0; nth < kDeviceMoves; ++nth) {
      const Part part = PartOf(slice, kDeviceEveryMs, nth * kHeardEveryMs);
      for (uint64_t n = part.begin; n < std::min(part.end, devices_out_.load()); ++n)
        Put("heard", devices_.Payload(n, (kDeviceMoves - 1 - nth) * kHeardEveryMs));
    }
  }
  absl::Status Run() {
    const absl::Status status = RunSlices();
    failed_ = !status.ok();
    return status;
  }
  absl::Status RunSlices() {
    ASSIGN_OR_RETURN(const std::unique_ptr<Link> link, Link::Connect(url_));
    int64_t rest = kDeviceMoves * kHeardEveryMs / kSliceMs;
    for (int64_t slice = 0; rest > 0 && !abandoned_; ++slice) {
      const int64_t at_ms = start_ms_ + slice * kSliceMs;
      if (at_ms > WallMs()) SleepUntilWall(at_ms);
      late_ms_ = std::max(late_ms_.load(), WallMs() - at_ms);
      slice_.clear();
      if (stop_) {
        --rest;
      } else {
        PutOrders(slice);
        devices_out_ = PartOf(slice, kDeviceEveryMs, 0).end;
      }
      PutDevices(slice);
      RETURN_IF_ERROR(link->PublishAll(
          slice_.size(), 4'096, [&](uint64_t n, OutMessage* out) { *out = slice_[n]; }));
    }
    return absl::OkStatus();
  }

  const std::string url_;
  const std::string name_;
  const uint64_t seed_;
  const int64_t start_ms_;
  const Jobs orders_;
  const Jobs devices_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> abandoned_ = false;
  std::atomic<bool> failed_ = false;
  std::atomic<int64_t> late_ms_ = 0;
  std::atomic<uint64_t> orders_out_ = 0;
  std::atomic<uint64_t> devices_out_ = 0;
  std::atomic<uint64_t> refused_ = 0;
  std::atomic<uint64_t> bad_ = 0;
  std::vector<OutMessage> slice_;  // the thread's
  absl::Status status_;
  std::thread thread_;
};

// One second.
struct Sample {
  int64_t at_ms = 0;
  bool ready = false;
  double rss_mb = 0;
  double disk_mb = 0;
  double cpu_ms = 0;  // a second, since the sample before
  uint64_t pending = 0;
  uint64_t dead = 0;
  uint64_t rejected = 0;
  uint64_t history = 0;
  std::vector<int64_t> late_ns;  // of the orders due in it
};

// Means of a minute, but for lateness. One second in which the machine stands still
// decides the p99 of a minute; whatever grows does so in each second.
struct Minute {
  double rss_mb = 0;
  double disk_mb = 0;
  double cpu_ms = 0;
  double late_p99_ms = 0;         // of all that fell due in it
  double late_p99_second_ms = 0;  // the median of its seconds' p99
};

class Soak {
 public:
  Soak(const Options& options, const SoakSetup& setup, Report* report)
      : options_(options), setup_(setup), report_(report) {}

  absl::Status Run() {
    RETURN_IF_ERROR(SetUp());
    RETURN_IF_ERROR(CatchUp());
    RETURN_IF_ERROR(LookOn());
    RETURN_IF_ERROR(feed_->Stop());
    RETURN_IF_ERROR(Settle());
    RETURN_IF_ERROR(Judge());
    RETURN_IF_ERROR(stage_->expirer().Stop());
    Figures();
    return WriteSeries();
  }

 private:
  [[nodiscard]] uint64_t Behind() const { return setup_.rules * setup_.events; }
  // A number below `bound` that the seed decides.
  uint64_t Any(uint64_t bound) { return random_() % bound; }

  absl::Status SetUp() {
    ASSIGN_OR_RETURN(stage_, Stage::Set(options_, "soak", setup_.rules));
    const std::string& name = stage_->setup().name;
    RETURN_IF_ERROR(stage_->AddStream("LIVE", name + "-live.>").status());
    ASSIGN_OR_RETURN(orders_out_, stage_->AddStream("ORDERS", name + "-orders.due"));
    ASSIGN_OR_RETURN(devices_out_, stage_->AddStream("DEVICES", name + "-devices.due"));
    RETURN_IF_ERROR(
        stage_->AddStream("FULL", name + "-full.due", R"(,"max_msgs":1,"discard":"new")")
            .status());
    RETURN_IF_ERROR(stage_->link().PublishAll(
        1, 1, [&](uint64_t, OutMessage* out) { out->subject = name + "-full.due"; }));
    RETURN_IF_ERROR(stage_->Configure("60s", LiveRules(name)));
    const Jobs backlog(Ids::kRandom, setup_.events, WallMs() + kFarMs, kFarMs,
                       setup_.seed);
    RETURN_IF_ERROR(stage_->PublishEvents(backlog));
    feed_ = std::make_unique<LiveFeed>(options_.url, name, setup_.seed);
    return stage_->StartExpirer();
  }

  static std::string LiveRules(const std::string& name) {
    return fmt::format(
        "  - name: orders\n"
        "    schedule: {{ subject: {0}-live.order, key: /id, due: /expiresAt }}\n"
        "    publish: {{ subject: {0}-orders.due }}\n"
        "  - name: devices\n"
        "    schedule: {{ subject: {0}-live.heard, key: /id, due: /expiresAt }}\n"
        "    publish: {{ subject: {0}-devices.due }}\n"
        "  - name: refused\n"
        "    schedule: {{ subject: {0}-live.refused, key: /id, delay: 0s }}\n"
        "    publish: {{ subject: {0}-full.due }}\n"
        "    retry: {{ initial: 1s, max: 1s, attempts: 2 }}\n",
        name);
  }

  // Until the rules have read their backlog; killed once while they do.
  absl::Status CatchUp() {
    const uint64_t kill_at = Behind() / 10 * (3 + Any(5));
    const int64_t until_ms =
        WallMs() + options_.timeout_ms + static_cast<int64_t>(Behind() / 5);
    const int64_t from_ms = WallMs();
    begin_ms_ = INT64_MAX;
    bool killed = false;
    while (WallMs() < until_ms) {
      RETURN_IF_ERROR(Second());
      if (!killed && samples_.back().pending >= kill_at) {
        killed = true;
        RETURN_IF_ERROR(KillAndStart());
      }
      if (samples_.back().pending < Behind()) continue;
      begin_ms_ = WallMs();
      report_->Figure("catch_up_s", "backlog read, killed once meanwhile",
                      static_cast<double>(begin_ms_ - from_ms) / 1e3, 0, "s");
      return absl::OkStatus();
    }
    return Unavailable(fmt::format("the backlog was not read in {} s; {}",
                                   (until_ms - from_ms) / 1'000,
                                   stage_->expirer().LogTail()));
  }

  // The minutes that count; killed once in the second one.
  absl::Status LookOn() {
    const int64_t kill_ms = begin_ms_ + 60'000 + static_cast<int64_t>(Any(30'000));
    const int64_t end_ms = begin_ms_ + static_cast<int64_t>(setup_.minutes) * 60'000;
    bool killed = false;
    while (WallMs() < end_ms) {
      RETURN_IF_ERROR(Second());
      if (killed || WallMs() < kill_ms) continue;
      killed = true;
      RETURN_IF_ERROR(KillAndStart());
    }
    return absl::OkStatus();
  }

  absl::Status KillAndStart() {
    stage_->expirer().Kill();
    kills_ms_.push_back(WallMs());
    cpu_ms_ = 0;
    return stage_->StartExpirer();
  }

  absl::Status Second() {
    RETURN_IF_ERROR(stage_->expirer().Alive());
    if (feed_->failed()) return feed_->Stop();
    Sample sample;
    const int64_t last_ms = samples_.empty() ? WallMs() - 1'000 : samples_.back().at_ms;
    SleepUntilWall(last_ms + 1'000);
    sample.at_ms = WallMs();
    const std::string status = stage_->expirer().StatusText();
    sample.ready = JsonRaw(status, "/ready") == "true";
    sample.rss_mb = static_cast<double>(stage_->expirer().MemoryBytes("VmRSS")) / 1e6;
    sample.disk_mb = static_cast<double>(DiskBytes(stage_->setup().StorePath())) / 1e6;
    const double cpu_ms = stage_->expirer().CpuMs();
    sample.cpu_ms =
        (cpu_ms - cpu_ms_) * 1e3 / static_cast<double>(sample.at_ms - last_ms);
    cpu_ms_ = cpu_ms;
    sample.pending = JsonWhole(status, "/pending");
    sample.dead = JsonWhole(status, "/dead");
    sample.rejected = JsonWhole(status, "/rejected");
    sample.history = JsonWhole(status, "/history");
    const bool ready = sample.ready;
    samples_.push_back(std::move(sample));
    return ready ? RequeueAndPurge() : absl::OkStatus();
  }

  absl::StatusOr<std::string> Ask(const std::string& verb, const std::string& body) {
    std::string answer;
    RETURN_IF_ERROR(stage_->link().AskAll(
        1, 1,
        [&](uint64_t, OutMessage* out) {
          out->subject = stage_->setup().name + ".v1." + verb;
          out->payload = body;
        },
        [&](uint64_t, std::string_view reply, int64_t) { answer = reply; }));
    if (!JsonRaw(answer, "/error").empty() || answer.empty())
      return Internal(fmt::format("{} {}: {}", verb, body, answer));
    return answer;
  }

  // What of `rule` there is more than is to be kept is purged, and counted in `gone`.
  absl::Status PurgeBeyond(const std::string& rule, uint64_t published, uint64_t* gone) {
    if (published <= *gone + kDeadKept) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::string reply,
                     Ask("dead.purge", fmt::format(R"({{"rule":"{}","limit":{}}})", rule,
                                                   published - *gone - kDeadKept)));
    *gone += JsonWhole(reply, "/purged");
    return absl::OkStatus();
  }
  absl::Status RequeueAndPurge() {
    for (const char* rule : {"orders", "refused"}) {
      ASSIGN_OR_RETURN(const std::string reply,
                       Ask("dead.requeue", fmt::format(R"({{"rule":"{}","limit":{}}})",
                                                       rule, kRequeuedEachSecond)));
      requeued_ += JsonWhole(reply, "/requeued");
    }
    RETURN_IF_ERROR(PurgeBeyond("refused", feed_->refused(), &purged_refused_));
    return PurgeBeyond("orders", feed_->bad(), &purged_bad_);
  }

  // Until nothing is left to be done but what the backlog made.
  absl::Status Settle() {
    const int64_t until_ms = WallMs() + options_.timeout_ms;
    std::string status;
    while (WallMs() < until_ms) {
      RETURN_IF_ERROR(stage_->expirer().Alive());
      status = stage_->expirer().StatusText();
      if (JsonWhole(status, "/pending") == Behind() &&
          JsonWhole(status, "/dead") == feed_->refused() - purged_refused_ &&
          JsonWhole(status, "/rejected") == feed_->bad() - purged_bad_)
        return absl::OkStatus();
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
    report_->Fail(fmt::format(
        "{} jobs are pending, {} dead and {} events rejected, not {}, {} and {}",
        JsonWhole(status, "/pending"), JsonWhole(status, "/dead"),
        JsonWhole(status, "/rejected"), Behind(), feed_->refused() - purged_refused_,
        feed_->bad() - purged_bad_));
    return absl::OkStatus();
  }

  absl::Status Judge() {
    const Jobs orders = feed_->Orders();
    FireCheck check(orders);
    RETURN_IF_ERROR(stage_->link().ReadAll(orders_out_, [&](const InMessage& message) {
      const auto n = check.Add(message.msg_id, message.payload, message.time_ns);
      if (n) NoteLate(orders.DueMs(*n), message.time_ns);
    }));
    check.Conclude(report_);
    const Jobs devices = feed_->Devices();
    FireCheck missed(devices);
    RETURN_IF_ERROR(stage_->link().ReadAll(devices_out_, [&](const InMessage& message) {
      missed.Add(message.msg_id, message.payload, message.time_ns);
    }));
    missed.Conclude(report_);
    report_->Figure("orders", "orders fired", static_cast<double>(check.fired()), 0, "");
    report_->Figure("devices", "devices missed, after 20 moves each",
                    static_cast<double>(missed.fired()), 0, "");
    report_->Figure("early", "early fires",
                    static_cast<double>(check.early() + missed.early()), 0, "",
                    AtMost(0));
    return JudgeDead();
  }
  void NoteLate(int64_t due_ms, int64_t stored_ns) {
    const auto after = std::upper_bound(
        samples_.begin(), samples_.end(), due_ms,
        [](int64_t ms, const Sample& sample) { return ms < sample.at_ms; });
    if (after != samples_.end()) after->late_ns.push_back(stored_ns - due_ms * 1'000'000);
  }

  // Each entry of the dead store is one of ours and stands there once.
  absl::Status JudgeDead() {
    absl::flat_hash_set<std::string> ids;
    uint64_t refused = 0;
    uint64_t bad = 0;
    std::string more;
    do {
      ASSIGN_OR_RETURN(const std::string page, Ask("dead.list", "{" + more + "}"));
      for (size_t i = 0;; ++i) {
        const std::string at = fmt::format("/entries/{}/", i);
        const std::string id = JsonTextAt(page, at + "id");
        if (id.empty()) break;
        if (!ids.insert(id).second) report_->Fail("the dead store lists twice " + id);
        const std::string rule = JsonTextAt(page, at + "rule");
        const bool job = JsonTextAt(page, at + "kind") == "job";
        if (job && rule == "refused")
          ++refused;
        else if (!job && rule == "orders")
          ++bad;
        else
          report_->Fail("the dead store has an entry of another kind: " + rule);
        if (JsonTextAt(page, at + "reason").empty())
          report_->Fail("an entry of the dead store has no reason: " + id);
      }
      const std::string cursor = JsonRaw(page, "/cursor");
      more = cursor.empty() ? "" : "\"cursor\":" + cursor;
    } while (!more.empty());
    const auto expect = [&](uint64_t count, uint64_t published, uint64_t purged,
                            std::string_view what) {
      if (count != published - purged)
        report_->Fail(
            fmt::format("{} {} are in the dead store, of {} published and {} purged",
                        count, what, published, purged));
    };
    expect(refused, feed_->refused(), purged_refused_, "refused jobs");
    expect(bad, feed_->bad(), purged_bad_, "bad events");
    return absl::OkStatus();
  }

  // Of minute `number`, which counts from 1; 0 = all of the backlog.
  [[nodiscard]] Minute Of(uint64_t number) {
    Minute sum;
    std::vector<int64_t> late_ns;
    std::vector<int64_t> seconds_ns;
    double count = 0;
    for (Sample& sample : samples_) {
      const int64_t since_ms = sample.at_ms - begin_ms_;
      const int64_t minute = since_ms <= 0 ? 0 : (since_ms - 1) / 60'000 + 1;
      if (minute != static_cast<int64_t>(number)) continue;
      ++count;
      sum.rss_mb += sample.rss_mb;
      sum.disk_mb += sample.disk_mb;
      sum.cpu_ms += sample.cpu_ms;
      late_ns.insert(late_ns.end(), sample.late_ns.begin(), sample.late_ns.end());
      seconds_ns.push_back(static_cast<int64_t>(QuantileMs(&sample.late_ns, 0.99) * 1e6));
    }
    return {sum.rss_mb / count, sum.disk_mb / count, sum.cpu_ms / count,
            QuantileMs(&late_ns, 0.99), QuantileMs(&seconds_ns, 0.5)};
  }

  void Figures() {
    const auto first = std::min<uint64_t>(3, setup_.minutes);
    const Minute then = Of(first);
    const Minute now = Of(setup_.minutes);
    const auto compare = [&](const std::string& name, const std::string& label, double a,
                             double b, int decimals, const std::string& unit) {
      report_->Figure(name + "_then", fmt::format("{}, minute {}", label, first), a,
                      decimals, unit);
      report_->Figure(name + "_now", fmt::format("{}, minute {}", label, setup_.minutes),
                      b, decimals, unit);
      report_->Figure(name + "_ratio", label + ", ratio", b / a, 2, "",
                      AtMost(kMostRatio));
    };
    compare("rss_mb", "memory resident", then.rss_mb, now.rss_mb, 0, "MB");
    compare("disk_mb", "disk", then.disk_mb, now.disk_mb, 0, "MB");
    compare("cpu_ms", "processor time a second", then.cpu_ms, now.cpu_ms, 0, "ms");
    compare("late_p99_ms", "due → stored, p99, median of the seconds",
            then.late_p99_second_ms, now.late_p99_second_ms, 3, "ms");
    report_->Figure("late_p99_minute_then_ms",
                    fmt::format("due → stored, p99 of all, minute {}", first),
                    then.late_p99_ms, 3, "ms");
    report_->Figure("late_p99_minute_now_ms",
                    fmt::format("due → stored, p99 of all, minute {}", setup_.minutes),
                    now.late_p99_ms, 3, "ms");
    report_->Figure("late_p99_backlog_ms", "the same amid the backlog",
                    Of(0).late_p99_second_ms, 0, "ms");
    double most = 0;
    for (const Sample& sample : samples_) most = std::max(most, sample.rss_mb);
    report_->Figure("rss_max_mb", "most memory resident", most, 0, "MB", AtMost(300));
    report_->Figure("requeued", "dead jobs requeued", static_cast<double>(requeued_), 0,
                    "");
    report_->Figure("purged", "dead entries purged",
                    static_cast<double>(purged_refused_ + purged_bad_), 0, "");
    report_->Figure("feed_late_ms", "an event published late, at most",
                    static_cast<double>(feed_->late_ms()), 0, "ms");
  }

  absl::Status WriteSeries() {
    if (setup_.series.empty()) return absl::OkStatus();
    std::ofstream out(setup_.series);
    for (Sample& s : samples_) {
      out << fmt::format(
          "{{\"s\":{:.1f},\"ready\":{},\"rss_mb\":{:.1f},\"disk_mb\":{:.1f},\"cpu_ms\":{:"
          ".0f},"
          "\"late_p99_ms\":{:.3f},\"pending\":{},\"dead\":{},\"rejected\":{},\"history\":"
          "{}}}\n",
          static_cast<double>(s.at_ms - begin_ms_) / 1e3, s.ready, s.rss_mb, s.disk_mb,
          s.cpu_ms, QuantileMs(&s.late_ns, 0.99), s.pending, s.dead, s.rejected,
          s.history);
    }
    for (const int64_t ms : kills_ms_)
      out << fmt::format("{{\"kill_s\":{:.1f}}}\n",
                         static_cast<double>(ms - begin_ms_) / 1e3);
    out.close();
    return out ? absl::OkStatus() : Unavailable("cannot write " + setup_.series);
  }

  const Options options_;
  const SoakSetup setup_;
  Report* const report_;
  std::mt19937_64 random_{setup_.seed};
  std::unique_ptr<Stage> stage_;
  std::string orders_out_;
  std::string devices_out_;
  std::unique_ptr<LiveFeed> feed_;  // ends before its stage
  std::vector<Sample> samples_;
  std::vector<int64_t> kills_ms_;
  int64_t begin_ms_ = 0;  // of minute 1
  double cpu_ms_ = 0;
  uint64_t requeued_ = 0;
  uint64_t purged_refused_ = 0;
  uint64_t purged_bad_ = 0;
};

}  // namespace

absl::Status RunSoak(const Options& options, const SoakSetup& setup, Report* report) {
  report->Setting("rules", static_cast<double>(setup.rules));
  report->Setting("events", static_cast<double>(setup.events));
  report->Setting("minutes", static_cast<double>(setup.minutes));
  report->Setting("seed", static_cast<double>(setup.seed));
  return Soak(options, setup, report).Run();
}

}  // namespace expirer::load
