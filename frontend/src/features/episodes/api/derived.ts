/** What the run that drove an episode made of its frames: GET .../training-runs/<run>/episodes/<id>/sidecar. */

import { useQuery } from "@tanstack/react-query";

import type { EpisodeDetail } from "@/features/episodes/api/episodes";
import { request } from "@/lib/api/client";
import { list, nullable, number, object, record } from "@/lib/api/decode";

const answer = record({ columns: object });
const column = list(nullable(number));

/** Columns by name, one number a frame; asked for only where the episode has them (most algorithms derive nothing). */
export const useDerived = ({ run, id, has_sidecar }: Pick<EpisodeDetail, "run" | "id" | "has_sidecar">) =>
  useQuery({
    queryKey: ["derived", run, id],
    queryFn: async ({ signal }) => {
      const path = `/api/v1/training-runs/${encodeURIComponent(run ?? "")}/episodes/${encodeURIComponent(id)}/sidecar`;
      const { columns } = await request(path, answer, { signal });
      return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, column(values, name)]));
    },
    enabled: run !== null && has_sidecar,
    staleTime: 60_000,
  });
