// Plays the application's customers against a running expirer and checks every
// outcome: orders are created, paid, cancelled, or walked away from.
//
//   expirer serve &
//   npm install && npm run build && npm run simulate -- [ORDERS] [SEED]
//
// NATS_URL says where; nothing else of the stream TICKETING may be at work.
import { connect } from "@nats-io/transport-node";
import type { JsMsg } from "@nats-io/jetstream";
import type { ExpirationComplete, OrderCancelled, OrderCreated, PaymentCreated } from "./events.js";
import { Listener } from "./listener.js";
import { Publisher } from "./publisher.js";
import { makeStream } from "./stream.js";

type Fate = "pays" | "cancels" | "walks away";
interface Order {
  id: string;
  dueMs: number;
  fate: Fate;
  createdMs: number; // when the stream had it
  endedMs?: number; // when the stream had the payment or cancel
  expiries: { atMs: number; body: string }[];
}

class OrderCreatedPublisher extends Publisher<OrderCreated> {
  readonly subject = "order:created";
}
class OrderCancelledPublisher extends Publisher<OrderCancelled> {
  readonly subject = "order:cancelled";
}
class PaymentCreatedPublisher extends Publisher<PaymentCreated> {
  readonly subject = "payment:created";
}
class ExpirationListener extends Listener<ExpirationComplete> {
  readonly subject = "expiration:complete";
  readonly queueGroupName = `simulation-${process.pid}`;
  private readonly seen = new Set<number>();
  onExpiry: (orderId: string, atMs: number, body: string) => void = () => {};

  async onMessage(data: ExpirationComplete["data"], message: JsMsg): Promise<void> {
    if (this.seen.has(message.seq)) return; // delivered again
    this.seen.add(message.seq);
    this.onExpiry(data.orderId, message.info.timestampNanos / 1e6, message.string());
  }
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
const count = Number(process.argv[2] ?? 10_000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
let bits = seed | 1;
function random(below: number): number {
  bits ^= bits << 13;
  bits ^= bits >>> 17;
  bits ^= bits << 5;
  return (bits >>> 0) % below;
}
const FATES: Fate[] = ["pays", "cancels", "walks away", "walks away", "walks away"];
// A payment that the stream had this long before the due time must win.
const IN_TIME_MS = 500;

const connection = await connect({ servers: (process.env.NATS_URL ?? "nats://127.0.0.1:4222").split(",") });
await makeStream(connection);
const created = new OrderCreatedPublisher(connection);
const cancelled = new OrderCancelledPublisher(connection);
const paid = new PaymentCreatedPublisher(connection);

const firstMs = Date.now() + 3_000 + count / 2;
const run = `${Date.now().toString(16)}${process.pid.toString(16)}`;
const orders = new Map<string, Order>();
for (let i = 0; i < count; ++i) {
  const id = `${run}${i.toString(16)}`.padStart(24, "0");
  orders.set(id, { id, dueMs: firstMs + random(5_000 + count), fate: FATES[random(5)]!, createdMs: 0, expiries: [] });
}

const listener = new ExpirationListener(connection);
listener.onExpiry = (id, atMs, body) => orders.get(id)?.expiries.push({ atMs, body });
await listener.listen();

async function play(order: Order): Promise<void> {
  const event = {
    id: order.id, version: 0, status: "created", userId: "u1", expiresAt: new Date(order.dueMs).toISOString(),
    ticket: { id: "t1", price: 20 },
  };
  await created.publish(event);
  order.createdMs = Date.now();
  if (random(20) === 0) await created.publish(event); // the service tried again
  if (order.fate === "walks away") return;
  await sleep(random(200));
  if (order.fate === "pays") await paid.publish({ id: "p1", orderId: order.id, stripeId: "s1" });
  else await cancelled.publish({ id: order.id, version: 1, ticket: { id: "t1" } });
  order.endedMs = Date.now();
}
const all = [...orders.values()];
for (let from = 0; from < all.length; from += 200) await Promise.all(all.slice(from, from + 200).map(play));

const walkers = all.filter((order) => order.fate === "walks away");
const untilMs = Math.max(...all.map((order) => order.dueMs)) + 120_000;
while (walkers.some((order) => order.expiries.length === 0) && Date.now() < untilMs) await sleep(100);
await sleep(2_000); // what must not come has its chance
await listener.close();

const wrong: string[] = [];
for (const order of all) {
  const times = order.expiries.length;
  const inTime = order.endedMs !== undefined && order.endedMs <= order.dueMs - IN_TIME_MS;
  if (order.fate === "walks away" && times !== 1) wrong.push(`${order.id} expired ${times} times`);
  if (inTime && times > 0) wrong.push(`${order.id} ${order.fate} in time and expired all the same`);
  if (times > 1) wrong.push(`${order.id} expired ${times} times`);
  for (const { atMs, body } of order.expiries) {
    if (atMs < order.dueMs - 0.001) wrong.push(`${order.id} expired ${order.dueMs - atMs} ms early`);
    if (body !== `{"orderId":"${order.id}"}`) wrong.push(`${order.id} expired as ${body}`);
  }
}
for (const one of wrong.slice(0, 20)) console.error(one);
const late = walkers.flatMap((order) => order.expiries.map((one) => one.atMs - Math.max(order.dueMs, order.createdMs))).sort((a, b) => a - b);
console.log(`simulation: seed ${seed}, ${count} orders, ${walkers.length} walked away, ` +
  `${all.filter((order) => order.endedMs !== undefined).length} paid or cancelled, ${wrong.length} wrong; ` +
  `expired ${late[Math.floor(late.length / 2)]?.toFixed(1)} ms after their time in the middle, ` +
  `${late.at(-1)?.toFixed(1)} ms at most`);
await connection.close();
process.exit(wrong.length === 0 ? 0 : 1);
