/** Webhooks, their messages and what people do with them: /api/v1/webhooks. */

import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nothing, nullable, number, record, text } from "@/lib/api/decode";

/** Times are ISO 8601. `revision`: what a change names as read. `failing_since`: null while the last message arrived. `dropped`: events not kept. */
export interface Webhook {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly events: readonly string[];
  readonly is_active: boolean;
  readonly disabled_reason: string;
  readonly failing_since: string | null;
  readonly dropped: number;
  readonly revision: number;
}

export interface Delivery {
  readonly id: number;
  readonly event_id: string;
  readonly event: string;
  readonly state: string;
  readonly attempts: number;
  readonly next_try_at: string | null;
  readonly last_status: number | null;
  readonly last_ms: number | null;
  readonly last_error: string;
  readonly created_at: string;
}

export interface WebhookWish {
  readonly name: string;
  readonly url: string;
  readonly events: readonly string[];
}

const webhook = record<Webhook>({
  id: text,
  name: text,
  url: text,
  events: list(text),
  is_active: boolean,
  disabled_reason: text,
  failing_since: nullable(text),
  dropped: number,
  revision: number,
});
const webhooks = record({ results: list(webhook) });
const delivery = record<Delivery>({
  id: number,
  event_id: text,
  event: text,
  state: text,
  attempts: number,
  next_try_at: nullable(text),
  last_status: nullable(number),
  last_ms: nullable(number),
  last_error: text,
  created_at: text,
});
const deliveries = record({ results: list(delivery) });
const made = record({ webhook, secret: text });

const path = "/api/v1/webhooks";
const key = ["webhooks"] as const;
const one = (id: string) => `${path}/${encodeURIComponent(id)}`;
const over = (row: Webhook) => ({ ifMatch: `"${row.revision}"` });
const LOG_EVERY_MS = 3000;

export const useWebhooks = () =>
  useQuery({
    queryKey: key,
    queryFn: ({ signal }) => request(path, webhooks, { signal }),
    select: (data) => data.results,
    refetchInterval: 10_000,
  });

/** The newest 50 messages, read again every 3 s while they are shown. */
export const useDeliveries = (id: string) =>
  useQuery({
    queryKey: [...key, id, "deliveries"],
    queryFn: ({ signal }) => request(`${one(id)}/deliveries`, deliveries, { signal }),
    select: (data) => data.results,
    placeholderData: keepPreviousData,
    refetchInterval: LOG_EVERY_MS,
  });

function useChange<Wish, Result>(send: (wish: Wish) => Promise<Result>) {
  const client = useQueryClient();
  return useMutation({ mutationFn: send, onSettled: () => client.invalidateQueries({ queryKey: key }), gcTime: 0 });
}

/** The answer holds the secret, which is shown once and kept out of the query cache. */
export const useCreateWebhook = () => useChange((body: WebhookWish) => request(path, made, { method: "POST", body }));

export const useRotateSecret = () =>
  useChange((row: Webhook) => request(`${one(row.id)}/rotate`, made, { method: "POST", ...over(row) }));

export const useChangeWebhook = () =>
  useChange(({ row, ...body }: Partial<WebhookWish> & { readonly row: Webhook; readonly is_active?: boolean }) =>
    request(one(row.id), webhook, { method: "PATCH", body, ...over(row) }),
  );

export const useRemoveWebhook = () =>
  useChange((row: Webhook) => request(one(row.id), nothing, { method: "DELETE", ...over(row) }));

export const useSendTest = () => useChange((id: string) => request(`${one(id)}/test`, delivery, { method: "POST" }));

export const useSendAgain = () =>
  useChange((wish: { readonly id: string; readonly eventId: string }) =>
    request(`${one(wish.id)}/deliveries/${encodeURIComponent(wish.eventId)}/redeliver`, delivery, { method: "POST" }),
  );
