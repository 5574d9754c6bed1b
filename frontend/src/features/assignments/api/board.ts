/** The assignment board: GET /api/v1/assignments, PUT and DELETE of one robot's work at one task. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nothing, nullable, number, record, text } from "@/lib/api/decode";

/** Hours of some days, Monday is 0; an `until` that is not after `from` lies on the next day. */
export interface HoursWindow {
  readonly days: readonly number[];
  readonly from: string;
  readonly until: string;
}

export interface Problem {
  readonly code: string;
  readonly text: string;
}

export interface Terms {
  readonly weight: number;
  readonly priority: number;
  readonly windows: readonly HoursWindow[];
  readonly time_zone: string;
}

/** `version`: a change names the one that was read. */
export interface Work extends Terms {
  readonly version: string;
  readonly task: string;
  readonly is_active: boolean;
  readonly problem: Problem | null;
}

/** `can`: slugs of tasks that its driver offers, null while it has never connected. */
export interface BoardRobot {
  readonly id: string;
  readonly name: string;
  readonly tags: readonly string[];
  readonly is_online: boolean;
  readonly can: readonly string[] | null;
  readonly problem: Problem | null;
  readonly assignments: readonly Work[];
}

export interface Success {
  readonly successes: number;
  readonly n: number;
  readonly rate: number;
  readonly low: number;
  readonly high: number;
}

export interface BoardTask {
  readonly id: string;
  readonly slug: string;
  readonly instruction: string;
  readonly success: Success | null;
}

export interface Suggestion {
  readonly task: string;
  readonly robot: string;
  readonly robot_name: string;
  readonly text: string;
}

export interface Board {
  readonly robots: readonly BoardRobot[];
  readonly tasks: readonly BoardTask[];
  readonly suggestions: readonly Suggestion[];
}

const problem = nullable(record<Problem>({ code: text, text }));
const board = record<Board>({
  robots: list(
    record<BoardRobot>({
      id: text,
      name: text,
      tags: list(text),
      is_online: boolean,
      can: nullable(list(text)),
      problem,
      assignments: list(
        record<Work>({
          version: text,
          task: text,
          weight: number,
          priority: number,
          windows: list(record<HoursWindow>({ days: list(number), from: text, until: text })),
          time_zone: text,
          is_active: boolean,
          problem,
        }),
      ),
    }),
  ),
  tasks: list(
    record<BoardTask>({
      id: text,
      slug: text,
      instruction: text,
      success: nullable(record<Success>({ successes: number, n: number, rate: number, low: number, high: number })),
    }),
  ),
  suggestions: list(record<Suggestion>({ task: text, robot: text, robot_name: text, text })),
});

const path = "/api/v1/assignments";
const key = ["assignments"] as const;
/** Robots come and go, hours open and close: read again without being asked, seldom enough to cost nothing. */
const EVERY_MS = 10_000;

export const plain: Terms = { weight: 1, priority: 0, windows: [], time_zone: "UTC" };

export const useBoard = () =>
  useQuery({ queryKey: key, queryFn: ({ signal }) => request(path, board, { signal }), refetchInterval: EVERY_MS });

export interface Move {
  readonly robot: Pick<BoardRobot, "id" | "name">;
  readonly task: Pick<BoardTask, "id" | "slug">;
  /** Null ends the work. */
  readonly terms: Terms | null;
  /** Of the work that was seen there: see `versionAt`. */
  readonly version: string;
}

/** The version of a robot's work at a task, as it is shown; "none" while it does not work at it. */
export const versionAt = (robot: BoardRobot | undefined, task: Pick<BoardTask, "slug">) =>
  robot?.assignments.find((work) => work.task === task.slug)?.version ?? "none";

const send = ({ robot, task, terms, version }: Move) =>
  request(`${path}/${robot.id}/${task.id}`, nothing, {
    ifMatch: `"${version}"`,
    ...(terms === null ? { method: "DELETE" } : { method: "PUT", body: terms }),
  });

/** Carry out moves one after the other; the first that is refused ends it. The board is read again in any case. */
export function useMoves() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (moves: readonly Move[]) => {
      for (const move of moves) await send(move);
    },
    onSettled: () => client.invalidateQueries({ queryKey: key }),
  });
}
