/** Groups of people by name: who is in them, what they cover. */

import { UsersRound } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Group, useGroups, useRemoveGroup } from "@/features/people/api/groups";
import { GroupDialog } from "@/features/people/components/group-dialog";

const columns = [
  { key: "name", label: "Group" },
  { key: "members", label: "Members" },
  { key: "tags", label: "Tags" },
  { key: "robots", label: "Robots now" },
  { key: "tasks", label: "Tasks" },
  { key: "do", label: "" },
];

type Open = { readonly kind: "edit"; readonly group: Group | null } | { readonly kind: "remove"; readonly group: Group } | null;

export function GroupsPage() {
  const { data, error, refetch } = useGroups();
  const [open, setOpen] = useState<Open>(null);
  const create = (
    <Button variant="primary" onClick={() => setOpen({ kind: "edit", group: null })}>
      New group
    </Button>
  );
  return (
    <>
      <h1 className="sr-only">Groups of people</h1>
      <Panel title="Groups" actions={data !== undefined && data.results.length > 0 ? create : null}>
        {data === undefined && error === null ? <Skeleton className="h-32" /> : null}
        {data === undefined && error !== null ? (
          <ReadFailed title="The groups could not be read" error={error} onRetry={() => void refetch()} />
        ) : null}
        {data?.results.length === 0 ? (
          <Notice icon={UsersRound} title="Everybody sees the whole fleet" action={create}>
            A group shows its members some robots, by tag or by name, and hides the rest: for two sites on one server, or a guest.
          </Notice>
        ) : null}
        {data !== undefined && data.results.length > 0 ? (
          <Table caption="Groups of people" columns={columns}>
            {data.results.map((group) => (
              <Row key={group.id} group={group} onOpen={setOpen} />
            ))}
          </Table>
        ) : null}
      </Panel>
      {open?.kind === "edit" ? <GroupDialog group={open.group} onClose={() => setOpen(null)} /> : null}
      {open?.kind === "remove" ? <RemoveDialog group={open.group} onClose={() => setOpen(null)} /> : null}
    </>
  );
}

const NAMED = 3;

/** "ann, ben, kim and 4 more". */
const named = (names: readonly string[], none: string): string =>
  names.length === 0 ? none : names.slice(0, NAMED).join(", ") + (names.length > NAMED ? ` and ${names.length - NAMED} more` : "");

function Row({ group, onOpen }: { readonly group: Group; readonly onOpen: (open: Open) => void }) {
  const tasks = named(
    group.tasks.map((each) => each.name),
    "none",
  );
  return (
    <tr className="hover:bg-raised">
      <Cell className="max-w-56 truncate font-medium" title={group.name}>
        {group.name}
      </Cell>
      <Cell>
        {named(
          group.members.map((each) => each.name),
          "nobody",
        )}
      </Cell>
      <Cell>{named(group.robot_tags, "none")}</Cell>
      <Cell title={group.covered.join(", ")}>{named(group.covered, "none")}</Cell>
      <Cell>{group.covers_all_tasks ? "all" : tasks}</Cell>
      <Cell className="py-0.5 text-right whitespace-nowrap">
        <Button variant="quiet" aria-label={`Change ${group.name}`} onClick={() => onOpen({ kind: "edit", group })}>
          Change
        </Button>
        <Button variant="quiet" aria-label={`Remove ${group.name}`} onClick={() => onOpen({ kind: "remove", group })}>
          Remove
        </Button>
      </Cell>
    </tr>
  );
}

function RemoveDialog({ group, onClose }: { readonly group: Group; readonly onClose: () => void }) {
  const remove = useRemoveGroup();
  const submit = () =>
    remove.mutate(group, {
      onSuccess: () => {
        notify("done", `The group ${group.name} is gone.`);
        onClose();
      },
    });
  return (
    <Dialog title={`Remove ${group.name}?`} onClose={onClose}>
      <p className="text-sm">Its members stay limited: who is in no other group sees nothing until you let them see the whole fleet, under People.</p>
      <p role="alert" className="mt-2 min-h-5 text-sm text-fault">
        {remove.error === null ? null : `Nothing was removed. ${remove.error.message}`}
      </p>
      <div className="mt-2 flex justify-end gap-2">
        <Button onClick={onClose}>Keep it</Button>
        <Button variant="primary" disabled={remove.isPending} onClick={submit}>
          Remove
        </Button>
      </div>
    </Dialog>
  );
}
