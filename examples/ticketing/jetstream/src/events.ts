// The application's events, as its services write them.
export interface Event<Subject extends string, Data> {
  subject: Subject;
  data: Data;
}
export type OrderCreated = Event<"order:created", {
  id: string;
  version: number;
  status: string;
  userId: string;
  expiresAt: string; // RFC 3339, UTC
  ticket: { id: string; price: number };
}>;
export type OrderCancelled = Event<"order:cancelled", { id: string; version: number; ticket: { id: string } }>;
export type PaymentCreated = Event<"payment:created", { id: string; orderId: string; stripeId: string }>;
export type ExpirationComplete = Event<"expiration:complete", { orderId: string }>;
export type AnyEvent = OrderCreated | OrderCancelled | PaymentCreated | ExpirationComplete;
