// Drives every endpoint of a running expirer (the built-in rule) with the
// official JavaScript clients: discovery by the services client, orders by
// JetStream, requests, errors, and the snippets of docs/api.md as they stand.
//
//   node drive.mjs URL API_MD
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { ServiceError, ServiceErrorHeader, ServiceErrorCodeHeader, Svcm } from "@nats-io/services";

const [url, apiMd] = process.argv.slice(2);
const nc = await connect({ servers: url });
const js = jetstream(nc);
const rule = "order-expiration";

async function ask(endpoint, body) {
  const message = await nc.request(`expirer.v1.${endpoint}`, body === undefined ? "" : JSON.stringify(body), { timeout: 10000 });
  return message;
}
async function eventually(what, check) {
  for (let i = 0; i < 200; i++) {
    if (await check()) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`never: ${what}`);
}
function order(id, dueMs) {
  return js.publish("order:created", JSON.stringify({ id, version: 0, expiresAt: new Date(Date.now() + dueMs).toISOString() }));
}
async function state(id) {
  const reply = await ask("get", { job: `${rule}/${id}` });
  return ServiceError.isServiceError(reply) ? "unknown" : reply.json().state;
}
async function collect(iterator) {
  const all = [];
  for await (const one of iterator) all.push(one);
  return all;
}

// Discovery, by the services client.
const client = new Svcm(nc).client();
const [ping] = await collect(await client.ping("expirer"));
assert.equal(ping.type, "io.nats.micro.v1.ping_response");
const [info] = await collect(await client.info("expirer", ping.id));
assert.deepEqual(info.endpoints.map((e) => e.name).sort(),
  ["cancel", "dead-list", "dead-purge", "dead-requeue", "get", "list", "round-trip", "rules",
    "stats"]);

// Jobs.
await order("far", 3600_000);
await order("near", 200);
await js.publish("order:created", "no JSON");
await eventually("the job is known", async () => (await state("far")) === "pending");
await eventually("the job fired", async () => (await state("near")) === "fired");
const fired = (await ask("get", { job: `${rule}/near` })).json();
assert.ok(fired.lateness_ms >= 0 && Date.parse(fired.acked) >= Date.parse(fired.due));
assert.deepEqual((await ask("list")).json().jobs.map((j) => j.job), [`${rule}/far`]);
assert.equal((await ask("stats")).json().pending, 1);
assert.equal((await ask("cancel", { job: `${rule}/near` })).json().outcome, "too_late");
assert.equal((await ask("cancel", { job: `${rule}/nobody` })).json().outcome, "unknown");

// The dead store.
await eventually("the message is rejected", async () => (await ask("dead.list")).json().entries.length === 1);
const [entry] = (await ask("dead.list")).json().entries;
assert.equal(entry.kind, "rejected");
assert.equal((await ask("dead.requeue", { rule })).json().still_rejected, 1);

assert.equal((await ask("dead.purge", { rule, dry_run: true })).json().purged, 1);

// Filters and pages.
await order("farther", 7200_000);
await eventually("the job is known", async () => (await state("farther")) === "pending");
const first = (await ask("list", { limit: 1 })).json();
assert.equal(first.jobs[0].job, `${rule}/far`);
const second = (await ask("list", { limit: 1, cursor: first.cursor })).json();
assert.equal(second.jobs[0].job, `${rule}/farther`);
for (const [filter, jobs] of [
  [{ rule: "nobody" }, 0],
  [{ prefix: "farth" }, 1],
  [{ state: "pending" }, 2],
  [{ due_before: new Date(Date.now() + 5400_000).toISOString() }, 1],
]) assert.equal((await ask("list", filter)).json().jobs.length, jobs, JSON.stringify(filter));
assert.equal((await ask("cancel", { job: `${rule}/farther` })).json().outcome, "cancelled");

// Errors.
for (const [endpoint, body, code] of [
  ["get", { job: `${rule}/nobody` }, 404],
  ["get", {}, 400],
  ["list", { nonsense: 1 }, 400],
  ["dead.requeue", { job: `${rule}/far` }, 409],
  ["dead.requeue", { id: entry.id }, 409],  // named, and still rejected
  ["dead.purge", { job: `${rule}/nobody` }, 404],
  ["cancel", { job: "no slash" }, 400],
  ["stats", { nonsense: 1 }, 400],
]) {
  const reply = await ask(endpoint, body);
  const error = ServiceError.toServiceError(reply);
  assert.equal(error?.code, code, endpoint);
  assert.equal(reply.headers.get(ServiceErrorCodeHeader), String(code));
  assert.ok(reply.headers.get(ServiceErrorHeader).length > 0);
  assert.equal(reply.json().error.code, code);
}

await assert.rejects(() => nc.request("nobody.v1.get", "{}"), /no responders/);

// The snippets of the documentation, in their order.
const page = readFileSync(apiMd, "utf8");
for (const { subject } of info.endpoints) {
  const name = subject.replace("expirer.v1.", "");
  const section = page.split(/^## /m).find((text) => text.startsWith(`${name}\n`));
  assert.ok(section?.includes("```js") && section.includes(`nats req ${subject} `),
    `docs/api.md has both snippets of ${name}`);
}
const snippets = [...page.matchAll(/```js\n([\s\S]*?)```/g)].map((m) => m[1]);
const AsyncFunction = (async () => {}).constructor;
for (const snippet of snippets) {
  const lines = [];
  const console = { log: (...words) => lines.push(words.join(" ")) };
  await new AsyncFunction("nc", "job", "console", snippet)(nc, `${rule}/far`, console);
  for (const line of lines) assert.ok(!line.includes("undefined"), `${snippet}prints ${line}`);
}
assert.equal(await state("far"), "cancelled", "by the snippet of cancel");

assert.equal((await ask("dead.purge", { id: entry.id })).json().purged, 1);
assert.deepEqual((await ask("dead.list")).json().entries, []);

// The counts of the endpoints.
const [stats] = await collect(await client.stats("expirer", ping.id));
const get = stats.endpoints.find((e) => e.name === "get");
assert.ok(get.num_requests >= 4 && get.num_errors >= 2 && get.last_error.startsWith("4"));
// Its data are at most a second old.
await eventually("the data follow", async () => {
  const [now] = await collect(await client.stats("expirer", ping.id));
  return now.endpoints.find((e) => e.name === "stats").data.pending === 0;
});
console.log(`interop: JavaScript ok, ${snippets.length} snippets of docs/api.md`);
await nc.close();
