/** Training from a version: the policy versions to begin from, and the run that is started. */

import { useMutation, useQuery } from "@tanstack/react-query";

import { datasetPath } from "@/features/datasets/api/datasets";
import { request } from "@/lib/api/client";
import { list, number, record, text } from "@/lib/api/decode";

export interface Base {
  readonly id: string;
  readonly label: string;
}

export interface TrainWish {
  readonly name: string;
  readonly base: string;
  readonly split: string;
  readonly takes_online: boolean;
  readonly algorithm: string;
  readonly target_steps: number | null;
}

const policies = record({ results: list(record({ id: text, run: text, number })) });
const runs = record({ results: list(record({ id: text, name: text })) });
const started = record({ id: text, name: text });

/** The newest 100 policy versions under the names of their runs. */
export const useBases = () =>
  useQuery({
    queryKey: ["datasets", "bases"],
    queryFn: async ({ signal }) => {
      const [versions, named] = await Promise.all([
        request("/api/v1/policy-versions?page_size=100", policies, { signal }),
        request("/api/v1/training-runs?page_size=200", runs, { signal }),
      ]);
      const names = new Map(named.results.map((run) => [run.id, run.name]));
      return versions.results.map((each): Base => ({ id: each.id, label: `v${each.number} of ${names.get(each.run) ?? "another run"}` }));
    },
  });

export const useTrain = (id: string, version: number) =>
  useMutation({
    mutationFn: (body: TrainWish) =>
      request(`${datasetPath(id)}/versions/${version}/train`, started, { method: "POST", body, limitMs: 60_000 }),
  });
