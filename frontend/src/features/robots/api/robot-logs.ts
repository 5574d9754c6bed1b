/** A robot's log: /api/v1/robots/<id>/logs. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nullable, number, record, text } from "@/lib/api/decode";

/** `at_ms`: by the robot's clock. */
export interface LogLine {
  readonly at_ms: number;
  readonly level: string;
  readonly logger: string;
  readonly text: string;
}

/** `lines`: the newest first. `answered`: the question that the robot answered last. */
export interface RobotLog {
  readonly is_online: boolean;
  readonly can_send: boolean;
  readonly answered: string | null;
  readonly lines: readonly LogLine[];
}

const log = record<RobotLog>({
  is_online: boolean,
  can_send: boolean,
  answered: nullable(text),
  lines: list(record<LogLine>({ at_ms: number, level: text, logger: text, text })),
});
const asked = record({ question: text });

/** An episode that the server refused for good; it lies on the robot. */
export interface Refusal {
  readonly episode_id: string;
  readonly code: string;
  readonly message: string;
  readonly refused_at: string;
}

const refusals = record({ results: list(record<Refusal>({ episode_id: text, code: text, message: text, refused_at: text })) });
const robot = record({ id: text, name: text, retired_at: nullable(text) });

const path = (id: string) => `/api/v1/robots/${encodeURIComponent(id)}`;
const keyOf = (id: string) => ["robot-log", id] as const;
const EVERY_MS = 5000;
const WAITING_MS = 500;
const REFUSALS_MS = 30_000;

export const useRobotName = (id: string) =>
  useQuery({ queryKey: ["robot-name", id], queryFn: ({ signal }) => request(path(id), robot, { signal }) });

export const useRefusals = (id: string) =>
  useQuery({
    queryKey: ["robot-refusals", id],
    queryFn: ({ signal }) => request(`${path(id)}/refusals`, refusals, { signal }),
    select: ({ results }) => results,
    refetchInterval: REFUSALS_MS,
  });

/** `question`: whose answer is waited for. */
export const useRobotLog = (id: string, question: string | null) =>
  useQuery({
    queryKey: keyOf(id),
    queryFn: ({ signal }) => request(`${path(id)}/logs`, log, { signal }),
    refetchInterval: ({ state }) => (question !== null && state.data?.answered !== question ? WAITING_MS : EVERY_MS),
  });

export function useAskLog(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (limit: number) => request(`${path(id)}/logs`, asked, { method: "POST", body: { limit } }),
    onSettled: () => client.invalidateQueries({ queryKey: keyOf(id) }),
  });
}
