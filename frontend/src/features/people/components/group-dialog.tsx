/** A group of people: its name, who is in it, which robots and tasks they see. */

import { useState } from "react";

import { MultiSelect } from "@/components/ui/multi-select";
import { NamedDialog } from "@/components/ui/named-dialog";
import { type Group, type GroupWish, useChangeGroup, useCreateGroup, useGroupRobots, useGroupTasks } from "@/features/people/api/groups";
import { usePeople } from "@/features/people/api/people";

interface GroupDialogProps {
  readonly group: Group | null;
  readonly onClose: () => void;
}

const wishOf = (group: Group | null): GroupWish => ({
  name: group?.name ?? "",
  members: group?.members.map((each) => Number(each.id)) ?? [],
  robot_tags: group?.robot_tags ?? [],
  robots: group?.robots.map((each) => each.id) ?? [],
  covers_all_tasks: group?.covers_all_tasks ?? true,
  tasks: group?.tasks.map((each) => each.id) ?? [],
});

export function GroupDialog({ group, onClose }: GroupDialogProps) {
  const [wish, setWish] = useState<GroupWish>(() => wishOf(group));
  const create = useCreateGroup();
  const change = useChangeGroup();
  const put = (part: Partial<GroupWish>) => setWish((before) => ({ ...before, ...part }));
  const save = () => {
    if (group === null) create.mutate(wish, { onSuccess: onClose });
    else change.mutate({ group, change: wish }, { onSuccess: onClose });
  };
  return (
    <NamedDialog
      title={group === null ? "New group" : `Change ${group.name}`}
      name={wish.name}
      onName={(name) => put({ name })}
      label={group === null ? "Make the group" : "Save"}
      isPending={create.isPending || change.isPending}
      problem={(create.error ?? change.error)?.message}
      onSave={save}
      onClose={onClose}
    >
      <Choices wish={wish} group={group} onWish={put} />
      <p className="text-xs text-ink-muted">
        Members see these robots and their episodes and nothing else of the fleet. Who leaves the group stays limited until you lift that under
        People. Admins see everything in any group.
      </p>
    </NamedDialog>
  );
}

interface ChoicesProps {
  readonly wish: GroupWish;
  readonly group: Group | null;
  readonly onWish: (part: Partial<GroupWish>) => void;
}

function Choices({ wish, group, onWish }: ChoicesProps) {
  const people = usePeople().data?.results ?? [];
  const robots = useGroupRobots().data ?? [];
  const tasks = useGroupTasks().data ?? [];
  const tags = [...new Set([...robots.flatMap((each) => each.tags), ...(group?.robot_tags ?? [])])].sort();
  return (
    <div className="grid gap-3 sm:grid-cols-2">
      <MultiSelect
        label="Members"
        all="Nobody yet"
        values={wish.members.map(String)}
        options={people.map((each) => ({ value: String(each.id), label: each.username }))}
        onValues={(values) => onWish({ members: values.map(Number) })}
      />
      <MultiSelect
        label="Robots with a tag"
        all="No tag"
        values={wish.robot_tags}
        options={tags.map((tag) => ({ value: tag, label: tag }))}
        onValues={(values) => onWish({ robot_tags: values })}
      />
      <MultiSelect
        label="Single robots"
        all="No single robot"
        values={wish.robots}
        options={robots.map((each) => ({ value: each.id, label: each.name }))}
        onValues={(values) => onWish({ robots: values })}
      />
      <MultiSelect
        label="Tasks"
        all={wish.covers_all_tasks ? "All tasks" : "No task"}
        values={wish.covers_all_tasks ? [] : wish.tasks}
        options={tasks}
        onValues={(values) => onWish({ tasks: values, covers_all_tasks: values.length === 0 })}
      />
    </div>
  );
}
