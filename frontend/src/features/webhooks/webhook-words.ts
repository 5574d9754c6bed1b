/** How webhooks and their messages are put into words. */

import type { Tone } from "@/components/ui/chip";
import type { Delivery, Webhook } from "@/features/webhooks/api/webhooks";
import { formatAge, formatDuration, withUnit } from "@/lib/units/format";
import { milliseconds, seconds } from "@/lib/units/quantity";

export const events: readonly { readonly value: string; readonly label: string }[] = [
  { value: "episode.registered", label: "An episode is registered" },
  { value: "policy_version.published", label: "A policy version is published" },
  { value: "help.requested", label: "A robot asks for help" },
  { value: "export.finished", label: "An export is done" },
  { value: "alert.opened", label: "An alert opens" },
  { value: "alert.resolved", label: "An alert resolves" },
];

export const eventLabel = (value: string): string =>
  value === "webhook.test" ? "Test" : (events.find((each) => each.value === value)?.label ?? value);

/** `now`: Unix milliseconds. */
export function stateOf(webhook: Webhook, now: number): { readonly tone: Tone; readonly word: string } {
  if (!webhook.is_active) return { tone: webhook.disabled_reason === "" ? "neutral" : "fault", word: "off" };
  if (webhook.failing_since === null) return { tone: "neutral", word: "on" };
  return { tone: "caution", word: `failing for ${formatDuration(seconds(Math.max((now - Date.parse(webhook.failing_since)) / 1000, 0)))}` };
}

export const ageOf = (time: string, now: number): string => formatAge(milliseconds(Math.max(now - Date.parse(time), 0)));

/** What came of a message, as "200 in 12 ms" or "waits, next try in 5 min". */
export function outcomeOf(delivery: Delivery, now: number): string {
  const answer = delivery.last_status === null ? "" : `answered ${delivery.last_status}`;
  const took = delivery.last_ms === null ? "" : ` in ${withUnit(`${delivery.last_ms}`, "ms")}`;
  const error = delivery.last_status === null ? delivery.last_error : "";
  const said = `${answer}${took}${error}`;
  if (delivery.state !== "pending" || delivery.next_try_at === null) return said;
  const wait = Math.max((Date.parse(delivery.next_try_at) - now) / 1000, 0);
  const next = wait < 1 ? "is sent now" : `next try in ${formatDuration(seconds(wait))}`;
  return said === "" ? next : `${said}; ${next}`;
}
