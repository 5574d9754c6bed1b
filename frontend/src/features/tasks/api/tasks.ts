/** Tasks as admins see them: GET, POST and PATCH /api/v1/tasks, and the wordings of an instruction. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, number, record, text } from "@/lib/api/decode";

/** `max_steps`: of one episode, in control steps. `target_rate`: the goal of its charts. `revision` guards changes. */
export interface Task {
  readonly id: string;
  readonly slug: string;
  readonly instruction: string;
  readonly success_definition: string;
  readonly driver_task: string;
  readonly max_steps: number;
  readonly target_rate: number;
  readonly is_active: boolean;
  readonly revision: number;
}

export interface TaskValues {
  readonly instruction: string;
  readonly success_definition: string;
  readonly driver_task: string;
  readonly max_steps: number;
  readonly target_rate: number;
}

export interface Wording {
  readonly number: number;
  readonly instruction: string;
  readonly at: string;
  readonly by_name: string;
}

const task = record<Task>({
  id: text,
  slug: text,
  instruction: text,
  success_definition: text,
  driver_task: text,
  max_steps: number,
  target_rate: number,
  is_active: boolean,
  revision: number,
});
const page = record({ results: list(task) });
const wordings = record({ results: list(record<Wording>({ number, instruction: text, at: text, by_name: text })) });
const path = "/api/v1/tasks";
const key = ["admin-tasks"] as const;

/** The newest 200 tasks, archived ones too. */
export const useTasks = () =>
  useQuery({
    queryKey: key,
    queryFn: ({ signal }) => request(`${path}?page_size=200`, page, { signal }),
    select: ({ results }) => results,
  });

export const useWordings = (id: string) =>
  useQuery({
    queryKey: [...key, id, "wordings"],
    queryFn: ({ signal }) => request(`${path}/${encodeURIComponent(id)}/wordings`, wordings, { signal }),
    select: ({ results }) => results,
  });

function useForget() {
  const client = useQueryClient();
  return () =>
    Promise.all([client.invalidateQueries({ queryKey: key }), client.invalidateQueries({ queryKey: ["assignments"] })]);
}

export function useDefineTask() {
  const forget = useForget();
  return useMutation({
    mutationFn: (values: TaskValues & { readonly slug: string }) => request(path, task, { method: "POST", body: values }),
    onSettled: forget,
  });
}

export function useChangeTask() {
  const forget = useForget();
  return useMutation({
    mutationFn: ({ id, revision, change }: { readonly id: string; readonly revision: number; readonly change: object }) =>
      request(`${path}/${encodeURIComponent(id)}`, task, { method: "PATCH", body: change, ifMatch: `"${revision}"` }),
    // Also when it failed: somebody else's change may be why.
    onSettled: forget,
  });
}
