// In the shape of the application's base publisher. Await `publish`: it returns
// when the stream has the event.
import { jetstream, type JetStreamClient } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { AnyEvent } from "./events.js";

export abstract class Publisher<T extends AnyEvent> {
  abstract readonly subject: T["subject"];
  private readonly stream: JetStreamClient;

  constructor(connection: NatsConnection) {
    this.stream = jetstream(connection);
  }

  // `id`: events of the same id within two minutes are kept once, so an event
  // that was published with a lost answer may be published again.
  async publish(data: T["data"], id?: string): Promise<void> {
    const options = id === undefined ? {} : { msgID: id };
    await this.stream.publish(this.subject, JSON.stringify(data), { ...options, timeout: 30_000 });
  }
}
