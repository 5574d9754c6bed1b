/** A group of people: its name, who is in it, which robots and tasks they see. */

import { type SubmitEvent, useState } from "react";

import { Dialog } from "@/components/ui/dialog";
import { TextField } from "@/components/ui/field";
import { MultiSelect } from "@/components/ui/multi-select";
import { SaveRow } from "@/components/ui/save-row";
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
  const error = create.error ?? change.error;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (group === null) create.mutate(wish, { onSuccess: onClose });
    else change.mutate({ group, change: wish }, { onSuccess: onClose });
  };
  return (
    <Dialog title={group === null ? "New group" : `Change ${group.name}`} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label="Name"
          data-autofocus
          required
          maxLength={100}
          value={wish.name}
          onChange={(event) => put({ name: event.target.value })}
        />
        <Choices wish={wish} group={group} onWish={put} />
        <p className="text-xs text-ink-muted">
          Members see these robots and their episodes and nothing else of the fleet. Who leaves the group stays limited until you lift that under
          People. Admins see everything in any group.
        </p>
        <SaveRow
          problem={error?.message}
          label={group === null ? "Make the group" : "Save"}
          isDisabled={wish.name.trim() === "" || create.isPending || change.isPending}
        />
      </form>
    </Dialog>
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
