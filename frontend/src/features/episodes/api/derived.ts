/** What the run that drove an episode made of its frames: GET .../training-runs/<run>/episodes/<id>/sidecar. */

import { useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, nullable, number, object, record } from "@/lib/api/decode";
import { ProblemError } from "@/lib/api/errors";

const answer = record({ columns: object });
const column = list(nullable(number));

/** Columns by name, one number a frame; none if the run looked at none of it (most algorithms derive nothing). */
export const useDerived = (run: string | null, episode: string) =>
  useQuery({
    queryKey: ["derived", run, episode],
    queryFn: async ({ signal }) => {
      const path = `/api/v1/training-runs/${encodeURIComponent(run ?? "")}/episodes/${encodeURIComponent(episode)}/sidecar`;
      try {
        const { columns } = await request(path, answer, { signal });
        return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, column(values, name)]));
      } catch (error) {
        if (error instanceof ProblemError && error.problem.status === 404) return {};
        throw error;
      }
    },
    enabled: run !== null,
    staleTime: 60_000,
  });
