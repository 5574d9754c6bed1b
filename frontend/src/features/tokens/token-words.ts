/** How tokens are put into words. */

import type { Token } from "@/features/tokens/api/tokens";
import { formatAge, formatDuration } from "@/lib/units/format";
import { milliseconds, seconds } from "@/lib/units/quantity";

const DAY_S = 86_400;

/** Why a token no longer works, null while it does. `now`: Unix milliseconds. */
export function endOf(token: Token, now: number): "revoked" | "expired" | null {
  if (token.revoked_at !== null) return "revoked";
  return Date.parse(token.expires_at) <= now ? "expired" : null;
}

export const lastUse = (token: Token, now: number): string =>
  token.last_used_at === null ? "never" : formatAge(milliseconds(Math.max(now - Date.parse(token.last_used_at), 0)));

export const timeLeft = (token: Token, now: number): string =>
  `in ${formatDuration(seconds(Math.max((Date.parse(token.expires_at) - now) / 1000, 0)))}`;

/** Lives that are offered for a new token, none longer than the server allows. */
export function lives(maxValidS: number): readonly { readonly value: string; readonly label: string }[] {
  const days = [7, 30, 90, 365].filter((each) => each * DAY_S <= maxValidS);
  const known = days.length > 0 ? days : [maxValidS / DAY_S];
  return known.map((each) => ({ value: `${each * DAY_S}`, label: formatDuration(seconds(each * DAY_S)) }));
}
