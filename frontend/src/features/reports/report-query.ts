/** The page's filter in its URL, and the same as the API and the library take it. Pure. */

import { browserZone, dayEnd, dayStart } from "@/lib/time-zone";

export const RANGES = [
  { value: "24h", label: "Last 24 h", seconds: 86_400 },
  { value: "7d", label: "Last 7 d", seconds: 7 * 86_400 },
  { value: "30d", label: "Last 30 d", seconds: 30 * 86_400 },
  { value: "1y", label: "Last year", seconds: 366 * 86_400 },
  { value: "custom", label: "From … until", seconds: null },
] as const;
export type RangeName = (typeof RANGES)[number]["value"];

export interface ReportFilter {
  readonly range: RangeName;
  /** Days of a custom range, both included: "2026-03-29". */
  readonly from: string;
  readonly until: string;
  readonly tasks: readonly string[];
  readonly robots: readonly string[];
  readonly versions: readonly string[];
  readonly zone: string;
}

const zones = new Set(["UTC", ...Intl.supportedValuesOf("timeZone")]);

export function filterOf(parameters: URLSearchParams): ReportFilter {
  const zone = parameters.get("tz") ?? browserZone();
  return {
    range: RANGES.find(({ value }) => value === parameters.get("range"))?.value ?? "24h",
    from: parameters.get("from") ?? "",
    until: parameters.get("until") ?? "",
    tasks: parameters.getAll("task"),
    robots: parameters.getAll("robot"),
    versions: parameters.getAll("version"),
    zone: zones.has(zone) ? zone : "UTC",
  };
}

/** Why the range cannot be asked for, in words; null if it can. */
export function problemOf({ range, from, until, zone }: ReportFilter): string | null {
  if (range !== "custom") return null;
  const start = dayStart(from, zone);
  const end = dayEnd(until, zone);
  if (start === null || end === null) return "Choose the first and the last day.";
  return start < end ? null : "The first day lies after the last one.";
}

/** As the API takes it; call only without a problem. */
export function apiQuery(filter: ReportFilter): string {
  const query = new URLSearchParams({ tz: filter.zone });
  const seconds = RANGES.find(({ value }) => value === filter.range)?.seconds ?? null;
  if (seconds !== null) query.set("last_s", `${seconds}`);
  else {
    query.set("since", new Date(dayStart(filter.from, filter.zone) ?? 0).toISOString());
    query.set("until", new Date(dayEnd(filter.until, filter.zone) ?? 0).toISOString());
  }
  for (const task of filter.tasks) query.append("task", task);
  for (const robot of filter.robots) query.append("robot", robot);
  for (const version of filter.versions) query.append("version", version);
  return `${query}`;
}

/** Two periods as the API compares them; their ends in milliseconds. Versions filter neither. */
export function apiPeriods(
  filter: Pick<ReportFilter, "tasks" | "robots" | "zone">,
  first: { readonly since_ms: number; readonly until_ms: number },
  second: { readonly since_ms: number; readonly until_ms: number },
): string {
  const iso = (time: number) => new Date(time).toISOString();
  const query = new URLSearchParams({
    tz: filter.zone,
    since: iso(first.since_ms),
    until: iso(first.until_ms),
    first_since: iso(first.since_ms),
    first_until: iso(first.until_ms),
    second_since: iso(second.since_ms),
    second_until: iso(second.until_ms),
  });
  for (const task of filter.tasks) query.append("task", task);
  for (const robot of filter.robots) query.append("robot", robot);
  return `${query}`;
}

/** The library with the episodes that a number was made of. Charts count archived ones too. */
export function episodesUrl(
  filter: Pick<ReportFilter, "tasks" | "robots" | "versions">,
  range: { readonly since_ms: number; readonly until_ms: number },
  group: { readonly task?: string; readonly robot?: string; readonly version?: string } = {},
): string {
  const query = new URLSearchParams({ origin: "online", archived: "any" });
  query.set("ended_from", new Date(range.since_ms).toISOString());
  query.set("ended_until", new Date(range.until_ms).toISOString());
  for (const task of group.task === undefined ? filter.tasks : [group.task]) query.append("task", task);
  for (const robot of group.robot === undefined ? filter.robots : [group.robot]) query.append("robot", robot);
  for (const version of group.version === undefined ? filter.versions : [group.version]) query.append("policy_version", version);
  return `/episodes?${query}`;
}
