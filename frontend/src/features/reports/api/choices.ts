/** What the filters offer: tasks, robots and versions. */

import { useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, number, record, text } from "@/lib/api/decode";

export interface Choice {
  readonly value: string;
  readonly label: string;
}

const tasks = record({ results: list(record({ slug: text })) });
const robots = record({ results: list(record({ id: text, name: text })) });
const versions = record({ results: list(record({ id: text, number })) });
const STALE_MS = 60_000;

export function useTaskChoices(): readonly Choice[] {
  const { data } = useQuery({
    queryKey: ["reports", "tasks"],
    queryFn: ({ signal }) => request("/api/v1/tasks?page_size=200", tasks, { signal }),
    staleTime: STALE_MS,
  });
  return (data?.results ?? []).map(({ slug }) => ({ value: slug, label: slug })).toSorted(byLabel);
}

export function useRobotChoices(): readonly Choice[] {
  const { data } = useQuery({
    queryKey: ["reports", "robots"],
    queryFn: ({ signal }) => request("/api/v1/robots?page_size=200", robots, { signal }),
    staleTime: STALE_MS,
  });
  return (data?.results ?? []).map(({ id, name }) => ({ value: id, label: name })).toSorted(byLabel);
}

/** The newest 200. */
export function useVersionChoices(): readonly Choice[] {
  const { data } = useQuery({
    queryKey: ["reports", "versions"],
    queryFn: ({ signal }) => request("/api/v1/policy-versions?page_size=200", versions, { signal }),
    staleTime: STALE_MS,
  });
  return (data?.results ?? []).map((version) => ({ value: version.id, label: `v${version.number}` }));
}

const byLabel = (a: Choice, b: Choice) => a.label.localeCompare(b.label);
