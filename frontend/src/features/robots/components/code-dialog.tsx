/** A one-time code for a new robot, or for a new key of one that exists. The secret is shown once. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { CopiedText } from "@/components/ui/copied-text";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { type NewCode, type Robot, useMakeCode } from "@/features/robots/api/robots";
import { formatDay } from "@/lib/units/format";

const lifetimes = [
  { value: "900", label: "15 minutes" },
  { value: "3600", label: "1 hour" },
  { value: "86400", label: "1 day" },
  { value: "604800", label: "7 days" },
];

interface CodeDialogProps {
  /** Whose key is renewed; null enrols a new robot. */
  readonly robot: Robot | null;
  readonly onClose: () => void;
}

export function CodeDialog({ robot, onClose }: CodeDialogProps) {
  const [note, setNote] = useState(robot === null ? "" : `new key for ${robot.name}`);
  const [lifetime, setLifetime] = useState("3600");
  const [needsApproval, setNeedsApproval] = useState(true);
  const make = useMakeCode();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    make.mutate({ note, valid_s: Number(lifetime), needs_approval: robot === null && needsApproval, robot: robot?.id ?? null });
  };
  const title = robot === null ? "Enrol a robot" : `New key for ${robot.name}`;
  return (
    <Dialog title={title} onClose={onClose}>
      {make.data === undefined ? (
        <form onSubmit={submit} className="flex flex-col gap-4">
          {robot === null ? null : (
            <p className="text-sm text-ink-muted">
              When the code is used, the robot gets a new key and its old keys are void. Remove credentials.json in the robot&apos;s
              state folder and start it with the code.
            </p>
          )}
          <TextField label="What it is for" data-autofocus maxLength={200} value={note} onChange={(event) => setNote(event.target.value)} />
          <SelectField label="Valid for" options={lifetimes} value={lifetime} onValue={setLifetime} />
          {robot === null ? (
            <label className="flex min-h-8 items-center gap-2 text-sm">
              <input
                type="checkbox"
                className="size-4 accent-action"
                checked={needsApproval}
                onChange={(event) => setNeedsApproval(event.target.checked)}
              />
              The robot waits until somebody approves it
            </label>
          ) : null}
          {make.error === null ? null : (
            <p role="alert" className="text-sm text-fault">
              {make.error.message}
            </p>
          )}
          <div className="flex justify-end gap-2">
            <Button onClick={onClose}>Cancel</Button>
            <Button variant="primary" type="submit" disabled={make.isPending}>
              Make a code
            </Button>
          </div>
        </form>
      ) : (
        <Made code={make.data} onClose={onClose} />
      )}
    </Dialog>
  );
}

function Made({ code, onClose }: { readonly code: NewCode; readonly onClose: () => void }) {
  return (
    <div className="flex flex-col gap-4">
      <p className="text-sm">
        Run this on the robot before {formatDay(Date.parse(code.expires_at))}. The code works once and is shown only now.
      </p>
      <Copyable label="Command" text={code.command} />
      <Copyable label="Code alone" text={code.code} />
      {/* White on purpose in both themes: cameras read dark on light. */}
      <img src={code.qr} alt="The code as a QR picture" className="size-44 self-center rounded-md bg-[white] p-2" />
      <div className="flex justify-end">
        <Button variant="primary" onClick={onClose}>
          Done
        </Button>
      </div>
    </div>
  );
}

function Copyable({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div>
      <p className="mb-1 text-sm font-medium">{label}</p>
      <CopiedText label={label} value={text} />
    </div>
  );
}
