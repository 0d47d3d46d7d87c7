// In the shape of the application's base listener: one durable for all pods of a
// service, read from the stream's beginning, an ack a message.
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager, type ConsumerMessages, type JsMsg } from "@nats-io/jetstream";
import { nanos, type NatsConnection } from "@nats-io/transport-node";
import type { AnyEvent } from "./events.js";
import { STREAM } from "./stream.js";

export abstract class Listener<T extends AnyEvent> {
  abstract readonly subject: T["subject"];
  abstract readonly queueGroupName: string;
  // The message is acked when this is over, and comes again after `ackWaitMs`
  // when it throws.
  abstract onMessage(data: T["data"], message: JsMsg): Promise<void>;
  protected readonly ackWaitMs = 30_000;
  private messages?: ConsumerMessages;

  constructor(private readonly connection: NatsConnection) {}

  async listen(): Promise<void> {
    // A durable's name is a token of its own for each subject: "orders-service"
    // on "expiration:complete" is "orders-service-expiration-complete".
    const durable = `${this.queueGroupName}-${this.subject.replaceAll(":", "-")}`;
    const manager = await jetstreamManager(this.connection);
    await manager.consumers.add(STREAM, {
      durable_name: durable,
      filter_subject: this.subject,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(this.ackWaitMs),
      deliver_policy: DeliverPolicy.All,
    });
    const consumer = await jetstream(this.connection).consumers.get(STREAM, durable);
    this.messages = await consumer.consume();
    void this.run(this.messages);
  }

  async close(): Promise<void> {
    await this.messages?.close();
  }

  private async run(messages: ConsumerMessages): Promise<void> {
    for await (const message of messages) {
      let data: T["data"];
      try {
        data = message.json();
      } catch {
        message.term("not JSON"); // else it would come again for ever
        continue;
      }
      try {
        await this.onMessage(data, message);
        message.ack();
      } catch (error) {
        console.error(`${this.subject}: to be tried again`, error);
      }
    }
  }
}
