/** Numbers as people read them: always with their unit, joined by a space that does not break. */

import { type Fraction, type Milliseconds, type Seconds, toSeconds } from "@/lib/units/quantity";

export const HARD_SPACE = "\u00a0";
const integer = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** Counts need no unit: grouped digits, no decimals: "1,234". */
export const formatCount = (value: number): string => integer.format(value);

/** A count with its noun: "1 robot", "4 robots". */
export const formatNoun = (value: number, noun: string, plural = `${noun}s`): string =>
  `${formatCount(value)}${HARD_SPACE}${value === 1 ? noun : plural}`;

export const withUnit = (text: string, unit: string): string => `${text}${HARD_SPACE}${unit}`;

export const formatRate = (value: number, unit: string): string => withUnit(decimal.format(value), unit);

/** "62 %": shares are shown without decimals, their intervals are wider than that. */
export const formatPercent = (value: Fraction): string => withUnit(integer.format(value * 100), "%");

const SIZES = ["B", "kB", "MB", "GB", "TB"] as const;

/** Bytes in their largest sensible unit, powers of 1000: "812 B", "3.4 MB". */
export function formatBytes(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return withUnit(power === 0 ? integer.format(value) : decimal.format(value), SIZES[power] ?? "B");
}

/** A duration in its largest sensible unit, without decimals: "31 s", "4 min", "2 h", "3 d". */
export function formatDuration(value: Seconds): string {
  const whole = Math.max(0, Math.round(value));
  if (whole < 60) return withUnit(`${whole}`, "s");
  if (whole < 3600) return withUnit(`${Math.floor(whole / 60)}`, "min");
  if (whole < 48 * 3600) return withUnit(`${Math.floor(whole / 3600)}`, "h");
  return withUnit(`${Math.floor(whole / 86_400)}`, "d");
}

/**
 * An age: "just now" under three seconds (a heartbeat a second would otherwise flicker between 0 and 1), then "12 s ago".
 */
export function formatAge(age: Milliseconds): string {
  return age < 3000 ? "just now" : `${formatDuration(toSeconds(age))} ago`;
}

const digits = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3, minimumSignificantDigits: 3 });
const shortest = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });

/** A measured number without a unit of its own, three digits: "0.0734", "12.5", "3,210". */
export const formatNumber = (value: number): string => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return integer.format(value);
  return size < 0.00001 ? value.toExponential(1) : digits.format(value);
};

/** A round number on an axis, no longer than it must be: "0.05", "6", "2,000". */
export const formatTick = (value: number): string => (Math.abs(value) >= 1000 ? integer.format(value) : shortest.format(value));

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Local time of day, 24 h: "14:03:22". */
export const formatClock = (time: number): string => clock.format(new Date(time));

const minute: Intl.DateTimeFormatOptions = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const day = new Intl.DateTimeFormat("en-GB", minute);
const dayOfYear = new Intl.DateTimeFormat("en-GB", { ...minute, year: "numeric" });
const moment = new Intl.DateTimeFormat("en-GB", { ...minute, second: "2-digit" });
const momentOfYear = new Intl.DateTimeFormat("en-GB", { ...minute, second: "2-digit", year: "numeric" });

const isThisYear = (time: Date): boolean => time.getFullYear() === new Date().getFullYear();

/** Local day and time: "23 Nov, 14:03"; with its year where that is another: "23 Nov 2023, 14:03". */
export function formatDay(time: number): string {
  const at = new Date(time);
  return (isThisYear(at) ? day : dayOfYear).format(at);
}

/** The same to the second, for what happens in quick succession: "23 Nov, 14:03:22". */
export function formatMoment(time: number): string {
  const at = new Date(time);
  return (isThisYear(at) ? moment : momentOfYear).format(at);
}
