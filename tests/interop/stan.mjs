// The ticketing application's services, on the library they use, against
// expirer in the place of its expiration service: customers create orders, pay,
// cancel, or walk away; expirer is killed -9 while they do, and the streaming
// server, which has a file store, while orders expire. Every outcome is checked.
//
//   node stan.mjs EXPIRER NATS_STREAMING_SERVER [ORDERS] [SEED]
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import assert from "node:assert/strict";
import nats from "node-nats-streaming";

const [expirer, streaming] = process.argv.slice(2);
const count = Number(process.argv[4] ?? 10000);
const seed = Number(process.argv[5] ?? Date.now() % 2 ** 31);
const tmp = mkdtempSync(join(tmpdir(), "expirer-stan-"));
const running = new Set();

// A small seeded generator (xorshift32).
let bits = seed | 1;
function random(below) {
  bits ^= bits << 13;
  bits ^= bits >>> 17;
  bits ^= bits << 5;
  return (bits >>> 0) % below;
}
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
async function eventually(what, check, seconds = 120) {
  for (const until = Date.now() + seconds * 1000; Date.now() < until; await sleep(50))
    if (await check()) return;
  assert.fail(`never: ${what}\n${readFileSync(join(tmp, "expirer.log"))}`);
}
const freePort = () => new Promise((done) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});
function start(name, command, args, env) {
  const log = openSync(join(tmp, `${name}.log`), "a");
  const child = spawn(command, args, { env, stdio: ["ignore", log, log] });
  running.add(child);
  child.ended = new Promise((done) => child.on("exit", () => { running.delete(child); done(); }));
  return child;
}
async function kill(child) {
  child.kill("SIGKILL");
  await child.ended;
}

const port = await freePort();
const startServer = () => start("server", streaming, ["-a", "127.0.0.1", "-p", String(port), "-cid", "ticketing",
  "-hbi", "5s", "-hbt", "5s", "-hbf", "2", "-mm", "0", "-mb", "0", "-st", "FILE", "--dir", join(tmp, "channels")],
  process.env);
// The three variables of the app's deployment, and where the volume is.
const startExpirer = () => start("expirer", expirer, ["serve"], {
  PATH: process.env.PATH, NATS_URL: `http://127.0.0.1:${port}`, NATS_CLUSTER_ID: "ticketing",
  NATS_CLIENT_ID: "expiration-depl-0", EXPIRER_STORE: join(tmp, "store"),
});

let clients = 0;
async function connect() {
  for (;;) {
    const stan = nats.connect("ticketing", `test-${process.pid}-${++clients}`, { url: `http://127.0.0.1:${port}` });
    const up = await new Promise((done) => {
      stan.on("connect", () => done(true));
      stan.on("error", () => done(false));
      stan.on("close", () => done(false));
      stan.on("connection_lost", () => done(false));
    });
    if (up) return stan;
    await sleep(200);
  }
}
// As the app's Publisher does.
const publish = (stan, subject, data) => new Promise((done, failed) =>
  stan.publish(subject, JSON.stringify(data), (error) => (error ? failed(error) : done())));
// As the app's Listener does: one member of the orders service.
const expired = new Map(); // sequence -> { data, at }
function listen(stan) {
  const options = stan.subscriptionOptions().setDeliverAllAvailable().setManualAckMode(true)
    .setAckWait(5000).setDurableName("orders-service");
  stan.subscribe("expiration:complete", "orders-service", options).on("message", (message) => {
    expired.set(message.getSequence(), { data: message.getData(), at: message.getTimestamp().getTime() });
    message.ack();
  });
}

function newOrder(i, firstMs, spreadMs) {
  const id = i.toString(16).padStart(24, "0");
  return { id, dueMs: firstMs + random(spreadMs), fate: ["walk", "pay", "cancel", "walk", "walk"][random(5)], endedMs: 0 };
}
async function play(stan, order) {
  await publish(stan, "order:created", {
    id: order.id, version: 0, status: "created", userId: "u1", expiresAt: new Date(order.dueMs).toISOString(),
    ticket: { id: "t1", price: 20 },
  });
  if (random(20) === 0) // the orders service tried again
    await publish(stan, "order:created", { id: order.id, version: 0, expiresAt: new Date(order.dueMs).toISOString() });
  if (order.fate === "walk") return;
  await sleep(random(200));
  if (order.fate === "pay") await publish(stan, "payment:created", { id: "p", orderId: order.id, stripeId: "s" });
  else await publish(stan, "order:cancelled", { id: order.id, version: 1, ticket: { id: "t1" } });
  order.endedMs = Date.now();
}

function judge(orders) {
  const byOrder = new Map();
  for (const [sequence, { data, at }] of expired) {
    const id = /^{"orderId":"([0-9a-f]{24})"}$/.exec(data)?.[1];
    assert.ok(id && orders.has(id), `sequence ${sequence} is no order's: ${data}`);
    byOrder.set(id, [...(byOrder.get(id) ?? []), at]);
  }
  let doubled = 0;
  for (const order of orders.values()) {
    const times = byOrder.get(order.id) ?? [];
    if (order.fate === "walk") assert.ok(times.length > 0, `${order.id} never expired`);
    if (order.endedMs > 0 && order.endedMs < order.dueMs - 500)
      assert.equal(times.length, 0, `${order.id} expired although it ended by ${order.fate} in time`);
    for (const at of times) assert.ok(at >= order.dueMs, `${order.id} expired ${order.dueMs - at} ms early`);
    doubled += Math.max(0, times.length - 1);
  }
  return { expired: byOrder.size, doubled };
}

async function main() {
  let server = startServer();
  let stan = await connect();
  listen(stan);
  let service = startExpirer();
  const firstMs = Date.now() + 10_000 + count;
  const orders = new Map();
  for (let i = 0; i < count; ++i) {
    const order = newOrder(i, firstMs, 5_000 + count);
    orders.set(order.id, order);
  }
  const waiting = [...orders.values()];
  let killed = false;
  for (let from = 0; from < waiting.length; from += 200) {
    const kills = !killed && from >= waiting.length / 2;
    const played = Promise.all(waiting.slice(from, from + 200).map((order) => play(stan, order)));
    if (kills) {
      await kill(service);
      service = startExpirer();
      killed = true;
    }
    await played;
  }
  const walkers = waiting.filter((order) => order.fate === "walk").length;
  await eventually("a third of the orders expire", () => expired.size >= walkers / 3, 600);
  await kill(server);
  server = startServer();
  stan.on("error", () => {});
  stan.close();
  stan = await connect();
  listen(stan);
  await eventually("all orders expire", () => new Set([...expired.values()].map((one) => one.data)).size >= walkers, 600);
  await sleep(2_000); // what must not come has its chance
  const verdict = judge(orders);
  assert.ok(verdict.doubled <= 4096, `${verdict.doubled} second copies`);
  console.log(`interop: NATS Streaming ok (seed ${seed}, ${count} orders, ${verdict.expired} expired, ` +
    `${verdict.doubled} second copies of what was on its way at the kills)`);
}

process.on("uncaughtException", (error) => {
  // The library reports a server that went away on whatever is at hand.
  if (/connection|closed|ECONN|stan: |nats: /i.test(String(error?.message ?? error)) && !(error instanceof assert.AssertionError)) return;
  console.error(error);
  process.exit(1);
});
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(tmp, { recursive: true, force: true });
});
try {
  await main();
  process.exit(0);
} catch (error) {
  console.error(`interop: NATS Streaming FAILED (seed ${seed})`, error);
  process.exit(1);
}
