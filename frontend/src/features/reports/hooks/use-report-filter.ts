/** The reports' filter, kept in the URL beside the view that is open. */

import { useMemo } from "react";
import { useSearchParams } from "react-router";

import { filterOf, type ReportFilter } from "@/features/reports/report-query";

type Change = Readonly<Partial<Record<"range" | "from" | "until" | "tz" | "view" | "first" | "second" | "of", string>>> & {
  readonly task?: readonly string[];
  readonly robot?: readonly string[];
  readonly version?: readonly string[];
};

export interface ReportState {
  readonly filter: ReportFilter;
  readonly parameters: URLSearchParams;
  /** Empty text and empty lists ask nothing. */
  readonly set: (change: Change) => void;
}

export function useReportFilter(): ReportState {
  const [parameters, setParameters] = useSearchParams();
  return useMemo(
    () => ({
      filter: filterOf(parameters),
      parameters,
      set: (change) =>
        setParameters((previous) => changed(previous, change), { replace: change.view === undefined, preventScrollReset: true }),
    }),
    [parameters, setParameters],
  );
}

/** `change` by the names of parameters; empty text and empty lists take one away. */
export function changed(previous: URLSearchParams, change: Readonly<Record<string, string | readonly string[]>>): URLSearchParams {
  const next = new URLSearchParams(previous);
  for (const [name, value] of Object.entries(change)) {
    next.delete(name);
    for (const each of typeof value === "string" ? [value] : value) if (each !== "") next.append(name, each);
  }
  return next;
}
