/** Two periods in the URL of `/reports/periods`, in days of the reader's zone. Pure. */

import { dayEnd, dayStart } from "@/lib/time-zone";

export interface Period {
  /** Both days are included: "2026-03-29". */
  readonly from: string;
  readonly until: string;
}

export type PeriodName = "first" | "second";

const WEEK_DAYS = 7;
const DAY_MS = 86_400_000;

/** The day in the zone, as an input of type date writes it. */
export const dayOf = (time: number, zone: string): string => new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(new Date(time));

/** What the URL says; what it leaves out is the last seven days (first) and the seven before (second). */
export function periodOf(parameters: URLSearchParams, name: PeriodName, zone: string, now: number): Period {
  const back = name === "first" ? 0 : WEEK_DAYS;
  return {
    from: parameters.get(`${name}_from`) ?? dayOf(now - (back + WEEK_DAYS - 1) * DAY_MS, zone),
    until: parameters.get(`${name}_until`) ?? dayOf(now - back * DAY_MS, zone),
  };
}

/** Its ends in milliseconds since 1970, the second excluded; or why it has none. */
export function endsOf({ from, until }: Period, zone: string): { readonly since_ms: number; readonly until_ms: number } | string {
  const since = dayStart(from, zone);
  const end = dayEnd(until, zone);
  if (since === null || end === null) return "Choose the first and the last day of both periods.";
  if (since >= end) return "A period's first day lies after its last one.";
  return { since_ms: since, until_ms: end };
}

export const periodText = ({ from, until }: Period): string => (from === until ? from : `${from} to ${until}`);
