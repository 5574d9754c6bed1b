/** Days and times as a zone's people write them, whatever zone the browser is in. */

export const browserZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

const DAY_MS = 86_400_000;

/** How far the zone's clock is ahead of UTC at this moment, in milliseconds. */
function aheadOf(zone: string, time: number): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(new Date(time));
  const value = (type: Intl.DateTimeFormatPartTypes) => Number(parts.find((part) => part.type === type)?.value ?? 0);
  const wall = Date.UTC(value("year"), value("month") - 1, value("day"), value("hour"), value("minute"), value("second"));
  return wall - Math.floor(time / 1000) * 1000;
}

/** When a day ("2026-03-29") begins in the zone; null if it is no day. Midnight that a clock skips is the moment of the skip. */
export function dayStart(day: string, zone: string): number | null {
  const utc = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(utc)) return null;
  const first = utc - aheadOf(zone, utc);
  const second = utc - aheadOf(zone, first);
  return aheadOf(zone, second) === aheadOf(zone, first) ? second : Math.max(first, second);
}

/** When the day after begins. */
export function dayEnd(day: string, zone: string): number | null {
  const start = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(start) ? null : dayStart(new Date(start + DAY_MS).toISOString().slice(0, 10), zone);
}

const shapes: Readonly<Record<string, Intl.DateTimeFormatOptions>> = {
  time: { hour: "2-digit", minute: "2-digit" },
  moment: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  day: { day: "numeric", month: "short" },
  month: { month: "short", year: "numeric" },
  full: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
};

export function formatInZone(time: number, zone: string, shape: keyof typeof shapes): string {
  return new Intl.DateTimeFormat("en-GB", { ...shapes[shape], timeZone: zone, hourCycle: "h23" }).format(new Date(time));
}
