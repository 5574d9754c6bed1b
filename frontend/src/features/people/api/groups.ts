/** Groups of people: /api/v1/people-groups, and what the editor offers to choose from. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nothing, nullable, number, record, text } from "@/lib/api/decode";

export interface Named {
  readonly id: string;
  readonly name: string;
}

/** `covered`: names of the robots that tags and list cover now. Without `covers_all_tasks` only `tasks` are covered. */
export interface Group {
  readonly id: string;
  readonly name: string;
  readonly members: readonly Named[];
  readonly robot_tags: readonly string[];
  readonly robots: readonly Named[];
  readonly covered: readonly string[];
  readonly covers_all_tasks: boolean;
  readonly tasks: readonly Named[];
  readonly revision: number;
}

/** Ids, and tags by name. */
export interface GroupWish {
  readonly name: string;
  readonly members: readonly number[];
  readonly robot_tags: readonly string[];
  readonly robots: readonly string[];
  readonly covers_all_tasks: boolean;
  readonly tasks: readonly string[];
}

const named = record<Named>({ id: text, name: text });
const group = record<Group>({
  id: text,
  name: text,
  members: list(named),
  robot_tags: list(text),
  robots: list(named),
  covered: list(text),
  covers_all_tasks: boolean,
  tasks: list(named),
  revision: number,
});
const groups = record({ results: list(group) });
const tasks = record({ results: list(record({ id: text, slug: text })) });
const robots = record({ results: list(record({ id: text, name: text, tags: list(text), retired_at: nullable(text) })) });

const path = "/api/v1/people-groups";
const key = ["people-groups"] as const;
const one = (id: string) => `${path}/${encodeURIComponent(id)}`;

export const useGroups = () => useQuery({ queryKey: key, queryFn: ({ signal }) => request(path, groups, { signal }) });

export const useGroupTasks = () =>
  useQuery({
    queryKey: ["group-tasks"],
    queryFn: ({ signal }) => request("/api/v1/tasks?page_size=200", tasks, { signal }),
    select: ({ results }) => results.map((each) => ({ value: each.id, label: each.slug })),
  });

export const useGroupRobots = () =>
  useQuery({
    queryKey: ["group-robots"],
    queryFn: ({ signal }) => request("/api/v1/robots?page_size=200", robots, { signal }),
    select: ({ results }) => results.filter((each) => each.retired_at === null),
  });

function useChange<Wish>(send: (wish: Wish) => Promise<unknown>) {
  const client = useQueryClient();
  // People too: their rows name their groups. Also when it failed: somebody else's change may be why.
  const refresh = () => Promise.all([client.invalidateQueries({ queryKey: key }), client.invalidateQueries({ queryKey: ["people"] })]);
  return useMutation({ mutationFn: send, onSettled: refresh });
}

export const useCreateGroup = () => useChange((body: GroupWish) => request(path, group, { method: "POST", body }));

export const useChangeGroup = () =>
  useChange(({ group: { id, revision }, change }: { readonly group: Group; readonly change: GroupWish }) =>
    request(one(id), group, { method: "PATCH", body: change, ifMatch: `"${revision}"` }),
  );

export const useRemoveGroup = () =>
  useChange(({ id, revision }: Group) => request(one(id), nothing, { method: "DELETE", ifMatch: `"${revision}"` }));
