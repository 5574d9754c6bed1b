/** One robot's name, tags, note and keys. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { TextAreaField, TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type Robot, useChangeRobot, useKeys, useRevokeKey } from "@/features/robots/api/robots";
import { useMay } from "@/hooks/use-session";
import { ProblemError } from "@/lib/api/errors";
import { formatDay } from "@/lib/units/format";

export function RobotEditDialog({ robot, onClose }: { readonly robot: Robot; readonly onClose: () => void }) {
  const [name, setName] = useState(robot.name);
  const [tags, setTags] = useState(robot.tags.join(", "));
  const [note, setNote] = useState(robot.note);
  const change = useChangeRobot();
  const mayRekey = useMay("enrol_robots");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const list = tags.split(",").map((tag) => tag.trim()).filter(Boolean);
    change.mutate(
      { row: robot, change: { name, tags: list, note } },
      {
        onSuccess: (row) => {
          notify("done", `${row.name} is changed.`);
          onClose();
        },
      },
    );
  };
  const isStale = change.error instanceof ProblemError && change.error.problem.status === 412;
  return (
    <Dialog title={`Change ${robot.name}`} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField label="Name" data-autofocus required maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />
        <TextField label="Tags, separated by commas" value={tags} onChange={(event) => setTags(event.target.value)} />
        <TextAreaField label="Note" rows={2} maxLength={2000} value={note} onChange={(event) => setNote(event.target.value)} />
        {change.error === null ? null : (
          <p role="alert" className="text-sm text-fault">
            {isStale ? "Somebody changed this robot meanwhile. Close, look, and change it again." : change.error.message}
          </p>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" disabled={change.isPending}>
            Save
          </Button>
        </div>
      </form>
      {mayRekey ? <Keys robot={robot} /> : null}
    </Dialog>
  );
}

function Keys({ robot }: { readonly robot: Robot }) {
  const { data: keys = [] } = useKeys(robot.id);
  const revoke = useRevokeKey(robot.id);
  const drop = (id: string) =>
    revoke.mutate(id, {
      onSuccess: () => notify("done", "The key is void; a connection with it closes."),
      onError: (error) => notify("failed", error.message),
    });
  return (
    <section aria-label="Keys" className="mt-5 border-t border-line pt-4">
      <h3 className="mb-1 text-sm font-medium">Keys</h3>
      <ul className="flex flex-col gap-1 text-sm">
        {keys.map((key) => (
          <li key={key.id} className="flex min-h-8 items-center gap-3">
            <code className="text-xs">{key.id.slice(0, 8)}</code>
            <span className="numeric grow text-ink-muted">
              since {formatDay(Date.parse(key.created_at))}
              {key.revoked_at === null ? "" : `, void since ${formatDay(Date.parse(key.revoked_at))}`}
            </span>
            {key.revoked_at === null ? (
              <Button variant="quiet" disabled={revoke.isPending} onClick={() => drop(key.id)} aria-label={`Revoke key ${key.id.slice(0, 8)}`}>
                Revoke
              </Button>
            ) : null}
          </li>
        ))}
      </ul>
    </section>
  );
}
