/** The library's filter and order, kept in the URL. */

import { useMemo } from "react";
import { useSearchParams } from "react-router";

import type { Facet } from "@/features/episodes/api/episodes";
import { DEFAULT_SORT, filterOf, type SingleField } from "@/features/episodes/episode-query";

export interface EpisodeQuery {
  readonly filter: URLSearchParams;
  readonly sort: string;
  /** What the list is asked: filter and order. */
  readonly text: string;
  readonly toggle: (facet: Facet, value: string) => void;
  /** Empty text asks nothing. */
  readonly set: (fields: Partial<Record<SingleField | "sort", string>>) => void;
  readonly replace: (parameters: URLSearchParams) => void;
}

export function useEpisodeQuery(): EpisodeQuery {
  const [parameters, setParameters] = useSearchParams();
  return useMemo(() => {
    const filter = filterOf(parameters);
    const sort = parameters.get("sort") ?? DEFAULT_SORT;
    const asked = new URLSearchParams(filter);
    asked.set("sort", sort);
    const options = { replace: true, preventScrollReset: true };
    return {
      filter,
      sort,
      text: asked.toString(),
      toggle: (facet, value) =>
        setParameters((previous) => {
          const next = new URLSearchParams(previous);
          const values = next.getAll(facet);
          next.delete(facet);
          const kept = values.includes(value) ? values.filter((each) => each !== value) : [...values, value];
          for (const each of kept) next.append(facet, each);
          return next;
        }, options),
      set: (fields) =>
        setParameters((previous) => {
          const next = new URLSearchParams(previous);
          for (const [field, value] of Object.entries(fields)) {
            if (value === "" || (field === "sort" && value === DEFAULT_SORT)) next.delete(field);
            else next.set(field, value);
          }
          return next;
        }, options),
      replace: (next) => setParameters(next, options),
    };
  }, [parameters, setParameters]);
}
