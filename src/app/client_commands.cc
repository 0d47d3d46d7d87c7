#include "app/client_commands.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/client.h"
#include "app/client_flags.h"
#include "app/context.h"
#include "app/output.h"
#include "app/table.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "base/visible.h"
#include "job/request.h"
#include "json/places.h"
#include "json/view.h"
#include "json/writer.h"

namespace expirer {
namespace {

struct ClientArgs {
  ClientFlags connection;
  std::string name = "expirer";
  std::string timeout = "5s";
  bool json = false;
  std::vector<std::string> jobs;
  std::string rule, prefix, state, due_before, id;
  uint64_t limit = 1'000;
  bool all = false;
  bool dry_run = false;
  bool stale = false;
};

int Fail(const absl::Status& status) {
  Say(Message(status));
  return absl::IsInvalidArgument(status) ? kUsage : kFailed;
}

// Runs `work` with a connected client.
int WithClient(const ClientArgs& args, const std::function<int(Client*)>& work) {
  SetLog(Level::kError, LogFormat::kText);
  const auto timeout_ms = ParseTimeout(args.timeout);
  if (!timeout_ms.ok()) return Fail(timeout_ms.status());
  auto options =
      ClientOptions(args.connection, [](const char* name) { return std::getenv(name); });
  if (!options.ok()) {
    (void)Fail(options.status());
    return kUsage;
  }
  Client client(*std::move(options), args.name, *timeout_ms);
  if (const absl::Status up = client.Connect(); !up.ok()) return Fail(up);
  return work(&client);
}

// A member's text as people read it: strings without quotes, the rest as JSON.
std::string Shown(const JsonValue& value) { return JsonTextOr(value, value.raw); }

// "name: value" lines, nested objects by dotted names.
void PrintMembers(const std::string& before, std::string_view json) {
  const auto members = JsonMembers(json);
  if (!members.ok()) return;
  for (const auto& [name, value] : *members) {
    if (value.kind == JsonValue::Kind::kObject)
      PrintMembers(before + name + ".", value.raw);
    else
      PrintOut(Visible(fmt::format("{}{}: {}", before, name, Shown(value))) + "\n");
  }
}

// The request that the filter flags make.
std::string FilterJson(const ClientArgs& args, uint64_t limit,
                       const std::string& cursor) {
  return JsonObject("limit", limit, "rule", IfAny(args.rule), "prefix",
                    IfAny(args.prefix), "state", IfAny(args.state), "due_before",
                    IfAny(args.due_before), "cursor", IfAny(cursor), "dry_run",
                    IfAny(args.dry_run), "stale", IfAny(args.stale));
}

// Every item of the pages of a list, up to args.limit (0 = all of them).
struct Listing {
  std::string endpoint;
  std::string items;  // the member that holds them
  std::vector<std::string> columns;
};
int RunListing(const ClientArgs& args, const Listing& listing) {
  return WithClient(args, [&](Client* client) {
    Table table(listing.columns);
    std::string cursor;
    uint64_t shown = 0;
    do {
      const uint64_t left = args.limit == 0 ? kPageMax : args.limit - shown;
      const auto reply = client->Ask(
          listing.endpoint, FilterJson(args, std::min<uint64_t>(left, kPageMax), cursor));
      if (!reply.ok()) return Fail(reply.status());
      cursor.clear();
      Json list;
      const std::string pointer = "/" + listing.items;
      (void)ReadPlaces(*reply, {{"/cursor", &cursor}, {pointer, &list}});
      const auto items = JsonItems(list.text);
      if (!items.ok()) return Fail(Internal("the reply is not what a list replies"));
      for (const JsonValue& item : *items) {
        ++shown;
        if (args.json) {
          PrintOut(std::string(item.raw) + "\n");
          continue;
        }
        std::vector<std::string> cells;
        for (const std::string& column : listing.columns)
          (void)ReadPlaces(item.raw, {{"/" + column, &cells.emplace_back()}});
        table.Add(std::move(cells));
      }
    } while (!cursor.empty() && (args.limit == 0 || shown < args.limit));
    if (!args.json) PrintOut(table.Format(TerminalColumns()));
    if (!cursor.empty()) Say("there are more: --limit 0 shows all of them");
    return kDone;
  });
}

void PrintReply(const ClientArgs& args, const std::string& reply) {
  if (args.json)
    PrintOut(reply + "\n");
  else
    PrintMembers("", reply);
}

// Sends `bodies`, one after the other; `show` gets the number of a body and its reply,
// and may add more of them. The exit code of the last failure.
int AskEach(const ClientArgs& args, const std::string& endpoint,
            std::vector<std::string>* bodies,
            const std::function<int(size_t, const std::string&)>& show) {
  return WithClient(args, [&](Client* client) {
    int code = kDone;
    for (size_t i = 0; i < bodies->size(); ++i) {
      const auto reply = client->Ask(endpoint, (*bodies)[i]);
      const int shown = reply.ok() ? show(i, *reply) : Fail(reply.status());
      if (shown != kDone) code = shown;
    }
    return code;
  });
}

std::vector<std::string> JobBodies(const ClientArgs& args) {
  std::vector<std::string> bodies;
  for (const std::string& job : args.jobs)
    bodies.push_back(JsonObject("job", job, "dry_run", IfAny(args.dry_run)));
  return bodies;
}

int RunGet(const ClientArgs& args) {
  std::vector<std::string> bodies = JobBodies(args);
  return AskEach(args, "get", &bodies, [&](size_t, const std::string& reply) {
    PrintReply(args, reply);
    return kDone;
  });
}

int RunCancel(const ClientArgs& args) {
  std::vector<std::string> bodies = JobBodies(args);
  return AskEach(args, "cancel", &bodies, [&](size_t i, const std::string& reply) {
    std::string outcome;
    (void)ReadPlaces(reply, {{"/outcome", &outcome}});
    PrintOut(args.json
                 ? reply + "\n"
                 : fmt::format("{}: {}\n", Visible(args.jobs[i]), Visible(outcome)));
    return outcome == "cancelled" ? kDone : kFailed;
  });
}

int RunStats(const ClientArgs& args) {
  std::vector<std::string> bodies{JsonObject()};
  return AskEach(args, "stats", &bodies, [&](size_t i, const std::string& reply) {
    Json rules;
    std::string cursor;
    (void)ReadPlaces(reply, {{"/rules", &rules}, {"/cursor", &cursor}});
    if (args.json || i == 0)
      PrintReply(args, reply);
    else
      PrintMembers("rules.", rules.text);  // the first page had all else
    if (!cursor.empty()) bodies.push_back(JsonObject("cursor", cursor));
    return kDone;
  });
}

// Requeue or purge: of what is named, or page by page of what the filters let
// through.
int RunDead(const ClientArgs& args, const std::string& verb) {
  const bool one = !args.jobs.empty() || !args.id.empty();
  if (!one && args.rule.empty() && args.prefix.empty() && !args.all)
    return Fail(
        Invalid("dead " + verb + ": name jobs, give --id, --rule or --prefix, or --all"));
  std::vector<std::string> bodies = JobBodies(args);
  if (!args.id.empty())
    bodies.push_back(JsonObject("id", args.id, "dry_run", IfAny(args.dry_run)));
  if (!one) bodies.push_back(FilterJson(args, kPageMax, ""));
  return AskEach(args, "dead." + verb, &bodies, [&](size_t, const std::string& reply) {
    std::string cursor;
    PrintReply(args, reply);
    (void)ReadPlaces(reply, {{"/cursor", &cursor}});
    if (!cursor.empty()) bodies.push_back(FilterJson(args, kPageMax, cursor));
    return kDone;
  });
}

void AddConnection(CLI::App* command, ClientArgs* args) {
  AddClientFlags(command, &args->connection);
  command->add_option("--timeout", args->timeout, "for each answer (5s)");
  command->add_option("--name", args->name, "name of the service (expirer)");
  command->add_flag("--json", args->json, "JSON lines instead of a table");
}

void AddFilters(CLI::App* command, ClientArgs* args) {
  command->add_option("--rule", args->rule, "only this rule's");
  command->add_option("--prefix", args->prefix, "only keys that begin so");
}

}  // namespace

void AddClientCommands(CLI::App* app, int* code) {
  const auto args = std::make_shared<ClientArgs>();
  const auto add = [args, code](CLI::App* to, const std::string& name,
                                const std::string& what,
                                std::function<int(const ClientArgs&)> run) {
    CLI::App* command = to->add_subcommand(name, what);
    AddConnection(command, args.get());
    command->callback([args, code, run = std::move(run)] { *code = run(*args); });
    return command;
  };
  CLI::App* ls =
      add(app, "ls", "list the jobs to come, in due order", [](const ClientArgs& a) {
        return RunListing(a,
                          {"list",
                           "jobs",
                           {"job", "state", "due", "target", "attempts", "last_error"}});
      });
  AddFilters(ls, args.get());
  ls->add_option("--state", args->state, "pending, in_flight, retrying or held");
  ls->add_option("--due-before", args->due_before, "RFC 3339 time");
  ls->add_option("-n,--limit", args->limit, "jobs shown, 0 = all (1000)")
      ->check(CLI::NonNegativeNumber);
  CLI::App* get = add(app, "get", "tell what is known of jobs", RunGet);
  get->add_option("JOB", args->jobs, "<rule>/<key>")->required();
  CLI::App* cancel = add(app, "cancel", "cancel jobs", RunCancel);
  cancel->add_option("JOB", args->jobs, "<rule>/<key>")->required();
  add(app, "stats", "numbers of the running service", RunStats);

  CLI::App* dead =
      app->add_subcommand("dead", "what could not become or be sent as a job");
  dead->require_subcommand(1);
  CLI::App* list = add(dead, "ls", "list the dead store", [](const ClientArgs& a) {
    return RunListing(a,
                      {"dead.list",
                       "entries",
                       {"id", "rule", "kind", "job", "at", "stream", "seq", "reason"}});
  });
  AddFilters(list, args.get());
  list->add_option("-n,--limit", args->limit, "entries shown, 0 = all (1000)")
      ->check(CLI::NonNegativeNumber);
  for (const std::string verb : {"requeue", "purge"}) {
    CLI::App* command =
        add(dead, verb,
            verb == "purge" ? "remove for good"
                            : "make dead jobs pending, run rejected messages again",
            [verb](const ClientArgs& a) { return RunDead(a, verb); });
    AddFilters(command, args.get());
    command->add_option("JOB", args->jobs, "dead jobs, <rule>/<key>");
    command->add_option("--id", args->id, "one entry by the id that dead ls shows");
    command->add_flag("--all", args->all, "without any filter");
    if (verb == "purge")
      command->add_flag("--dry-run", args->dry_run, "only count");
    else
      command->add_flag("--stale", args->stale,
                        "also what was due longer ago than store.history remembers");
  }
}

}  // namespace expirer
