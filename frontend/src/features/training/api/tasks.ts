/** The tasks of the fleet: GET /api/v1/tasks. */

import { useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, record, text } from "@/lib/api/decode";

export interface Task {
  readonly slug: string;
}

const page = record({ results: list(record<Task>({ slug: text })) });

/** The first page is enough: a fleet works at a handful of tasks. */
export const useTasks = () =>
  useQuery({
    queryKey: ["tasks"],
    queryFn: ({ signal }) => request("/api/v1/tasks", page, { signal }),
    select: (data) => data.results.toSorted((a, b) => a.slug.localeCompare(b.slug)),
    staleTime: 60_000,
  });
