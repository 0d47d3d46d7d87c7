#include "app/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "api/verb.h"
#include "app/client.h"
#include "app/context.h"
#include "app/output.h"
#include "app/table.h"
#include "base/log.h"
#include "base/visible.h"
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
  bool all = false;
  uint64_t limit = 1'000;
  std::vector<std::string> jobs;
  // What the request says beside these, by member.
  std::map<std::string_view, std::string> texts;
  std::map<std::string_view, bool> switches;
};

// The flag of a member that requests have.
struct MemberFlag {
  std::string_view member;
  const char* flag;
  const char* help;
};
constexpr MemberFlag kTexts[] = {
    {"rule", "--rule", "only this rule's"},
    {"prefix", "--prefix", "only keys that begin so"},
    {"state", "--state", "pending, in_flight, retrying or held"},
    {"due_before", "--due-before", "RFC 3339 time"},
    {"id", "--id", "one entry by the id that dead ls shows"}};
constexpr MemberFlag kSwitches[] = {
    {"dry_run", "--dry-run", "only count"},
    {"stale", "--stale", "also what was due longer ago than store.history remembers"}};

bool Takes(const Verb& verb, std::string_view member) {
  const std::vector<std::string> members = Words(verb.members);
  return std::find(members.begin(), members.end(), member) != members.end();
}

// What was asked is wrong, or could not be answered.
int FailTo(const absl::Status& status) {
  return Fail(status, absl::IsInvalidArgument(status) ? kUsage : kFailed);
}

// Runs `work` with a connected client.
int WithClient(const ClientArgs& args, const std::function<int(Client*)>& work) {
  SetLog(Level::kError, LogFormat::kText);
  const auto timeout_ms = ParseTimeout(args.timeout);
  if (!timeout_ms.ok()) return Fail(timeout_ms.status(), kUsage);
  auto options =
      ClientOptions(args.connection, [](const char* name) { return std::getenv(name); });
  if (!options.ok()) return Fail(options.status(), kUsage);
  Client client(*std::move(options), args.name, *timeout_ms);
  if (const absl::Status up = client.Connect(); !up.ok()) return FailTo(up);
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

// The request for one page of what the flags let through.
std::string PageJson(const Verb& verb, const ClientArgs& args, uint64_t limit,
                     const std::string& cursor) {
  JsonWriter out;
  out.Object();
  if (Takes(verb, "limit")) out.Add("limit", limit);
  for (const auto& [member, text] : args.texts) out.Add(member, IfAny(text));
  for (const auto& [member, on] : args.switches) out.Add(member, IfAny(on));
  return out.Add("cursor", IfAny(cursor)).Take();
}

// Every item of the pages of a list, up to args.limit (0 = all of them).
int RunListing(const Verb& verb, const ClientArgs& args) {
  const std::vector<std::string> columns = Words(verb.client.columns);
  return WithClient(args, [&](Client* client) {
    Table table(columns);
    std::string cursor;
    uint64_t shown = 0;
    do {
      const uint64_t left = args.limit == 0 ? kPageMax : args.limit - shown;
      const auto reply =
          client->Ask(std::string(verb.name),
                      PageJson(verb, args, std::min<uint64_t>(left, kPageMax), cursor));
      if (!reply.ok()) return FailTo(reply.status());
      cursor.clear();
      Json list;
      const std::string pointer = "/" + std::string(verb.client.items);
      (void)ReadPlaces(*reply, {{"/cursor", &cursor}, {pointer, &list}});
      const auto items = JsonItems(list.text);
      if (!items.ok()) return Fail(Internal("the reply is not what a list replies"));
      for (const JsonValue& item : *items) {
        ++shown;
        if (args.json) {
          PrintOut(std::string(item.raw) + "\n");
          continue;
        }
        table.AddMembers(item.raw, columns);
      }
    } while (!cursor.empty() && (args.limit == 0 || shown < args.limit));
    if (!args.json) PrintOut(table.Format(TerminalColumns()));
    if (!cursor.empty()) Say("there are more: --limit 0 shows all of them");
    return kDone;
  });
}

// Prints the reply to the request of this number; what the process ends with. Of
// `stats` the first page has all but the other rules.
int Show(const ClientArgs& args, size_t number, const std::string& reply) {
  std::string outcome;
  Json rules;
  (void)ReadPlaces(reply, {{"/outcome", &outcome}, {"/rules", &rules}});
  if (args.json)
    PrintOut(reply + "\n");
  else if (!outcome.empty())
    PrintOut(fmt::format("{}: {}\n", Visible(args.jobs[number]), Visible(outcome)));
  else if (number > 0 && !rules.text.empty())
    PrintMembers("rules.", rules.text);
  else
    PrintMembers("", reply);
  return outcome.empty() || outcome == "cancelled" ? kDone : kFailed;
}

// Asks for each that is named, or page by page for what the flags let through.
int Run(const Verb& verb, const ClientArgs& args) {
  if (!verb.client.items.empty()) return RunListing(verb, args);
  std::vector<std::string> bodies;
  auto texts = args.texts;
  auto switches = args.switches;
  const auto name = [&](std::string_view member, const std::string& value) {
    bodies.push_back(JsonObject(member, value, "dry_run", IfAny(switches["dry_run"])));
  };
  for (const std::string& job : args.jobs) name("job", job);
  if (!texts["id"].empty()) name("id", texts["id"]);
  const bool named = !bodies.empty();
  if (!named && verb.changes && !args.all && texts["rule"].empty() &&
      texts["prefix"].empty())
    return Fail(Invalid(fmt::format("{}: name jobs, give --id, --rule or --prefix, or "
                                    "--all",
                                    verb.client.command)),
                kUsage);
  if (!named) bodies.push_back(PageJson(verb, args, kPageMax, ""));
  return WithClient(args, [&](Client* client) {
    int code = kDone;
    for (size_t i = 0; i < bodies.size(); ++i) {
      const auto reply = client->Ask(std::string(verb.name), bodies[i]);
      const int shown = reply.ok() ? Show(args, i, *reply) : FailTo(reply.status());
      if (shown != kDone) code = shown;
      std::string cursor;
      if (reply.ok()) (void)ReadPlaces(*reply, {{"/cursor", &cursor}});
      if (!cursor.empty()) bodies.push_back(PageJson(verb, args, kPageMax, cursor));
    }
    return code;
  });
}

void AddConnection(CLI::App* command, ClientArgs* args) {
  AddClientFlags(command, &args->connection);
  command->add_option("--timeout", args->timeout, "for each answer (5s)");
  command->add_option("--name", args->name, "name of the service (expirer)");
  command->add_flag("--json", args->json, "JSON lines instead of a table");
}

void AddMembers(const Verb& verb, CLI::App* command, ClientArgs* args) {
  for (const MemberFlag& one : kTexts)
    if (Takes(verb, one.member))
      command->add_option(one.flag, args->texts[one.member], one.help);
  for (const MemberFlag& one : kSwitches)
    if (Takes(verb, one.member))
      command->add_flag(one.flag, args->switches[one.member], one.help);
  if (!verb.client.items.empty() && Takes(verb, "limit"))
    command
        ->add_option("-n,--limit", args->limit,
                     fmt::format("{} shown, 0 = all (1000)", verb.client.items))
        ->check(CLI::NonNegativeNumber);
  if (!Takes(verb, "job")) return;
  const bool pages = Takes(verb, "cursor");
  command
      ->add_option("JOB", args->jobs, pages ? "dead jobs, <rule>/<key>" : "<rule>/<key>")
      ->required(!pages);
  if (pages) command->add_flag("--all", args->all, "without any filter");
}

}  // namespace

void AddClientCommands(CLI::App* app, int* code) {
  const auto args = std::make_shared<ClientArgs>();
  CLI::App* const dead =
      app->add_subcommand("dead", "what could not become or be sent as a job");
  dead->require_subcommand(1);
  for (const Verb* const verb : Verbs()) {
    std::string_view name = verb->client.command;
    if (name.empty()) continue;
    const bool of_dead = name.starts_with("dead ");
    if (of_dead) name.remove_prefix(5);
    CLI::App* const command =
        (of_dead ? dead : app)
            ->add_subcommand(std::string(name), std::string(verb->about));
    AddConnection(command, args.get());
    AddMembers(*verb, command, args.get());
    command->callback([args, code, verb] { *code = Run(*verb, *args); });
  }
}

}  // namespace expirer
