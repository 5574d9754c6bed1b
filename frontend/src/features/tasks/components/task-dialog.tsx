/** One task's values. A changed instruction is a new wording; episodes keep the one they ran with. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { TextAreaField, TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type Task, useChangeTask, useDefineTask, useWordings } from "@/features/tasks/api/tasks";
import { ProblemError } from "@/lib/api/errors";
import { formatDay } from "@/lib/units/format";

interface TaskDialogProps {
  /** Null defines a new one. */
  readonly task: Task | null;
  readonly onClose: () => void;
}

export function TaskDialog({ task, onClose }: TaskDialogProps) {
  const [slug, setSlug] = useState(task?.slug ?? "");
  const [instruction, setInstruction] = useState(task?.instruction ?? "");
  const [success, setSuccess] = useState(task?.success_definition ?? "");
  const [driverTask, setDriverTask] = useState(task?.driver_task ?? "");
  const [steps, setSteps] = useState(String(task?.max_steps ?? 250));
  const [target, setTarget] = useState(String(Math.round((task?.target_rate ?? 0.8) * 1000) / 10));
  const { save, isPending, error } = useSave(task, onClose);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    save({ slug, instruction, success_definition: success, driver_task: driverTask, max_steps: Number(steps), target_rate: Number(target) / 100 });
  };
  return (
    <Dialog title={task === null ? "Define a task" : `Change ${task.slug}`} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        {task === null ? (
          <TextField
            label="Short name"
            data-autofocus
            required
            pattern="[a-zA-Z0-9_\-]+"
            title="Letters, digits, hyphens"
            maxLength={100}
            value={slug}
            onChange={(event) => setSlug(event.target.value)}
          />
        ) : null}
        <TextField
          label="Instruction for the policy"
          required
          maxLength={1000}
          value={instruction}
          onChange={(event) => setInstruction(event.target.value)}
        />
        <TextAreaField
          label="What counts as success"
          rows={3}
          maxLength={2000}
          value={success}
          onChange={(event) => setSuccess(event.target.value)}
        />
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField
            label="The driver's name of it"
            required
            maxLength={100}
            value={driverTask}
            onChange={(event) => setDriverTask(event.target.value)}
          />
          <TextField
            label="Time limit, control steps"
            type="number"
            required
            min={1}
            max={100_000}
            value={steps}
            onChange={(event) => setSteps(event.target.value)}
          />
          <TextField
            label="Goal of the success rate, %"
            type="number"
            required
            min={0}
            max={100}
            step="any"
            value={target}
            onChange={(event) => setTarget(event.target.value)}
          />
        </div>
        {task === null ? null : <Wordings task={task} />}
        {error === null ? null : (
          <p role="alert" className="text-sm text-fault">
            {error}
          </p>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" disabled={isPending}>
            {task === null ? "Define" : "Save"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function useSave(task: Task | null, onClose: () => void) {
  const define = useDefineTask();
  const change = useChangeTask();
  const done = (saved: Task) => {
    notify("done", task === null ? `${saved.slug} is defined. Assign robots to it.` : `${saved.slug} is changed.`);
    onClose();
  };
  const save = ({ slug, ...values }: Parameters<typeof define.mutate>[0]) => {
    if (task === null) define.mutate({ slug, ...values }, { onSuccess: done });
    else change.mutate({ id: task.id, revision: task.revision, change: values }, { onSuccess: done });
  };
  const failed = task === null ? define.error : change.error;
  const isStale = failed instanceof ProblemError && failed.problem.status === 412;
  const error = isStale ? "Somebody changed this task meanwhile. Close, look, and change it again." : (failed?.message ?? null);
  return { save, isPending: define.isPending || change.isPending, error };
}

function Wordings({ task }: { readonly task: Task }) {
  const { data: wordings = [] } = useWordings(task.id);
  if (wordings.length < 2) return null;
  return (
    <details className="text-sm">
      <summary className="cursor-pointer text-link">{wordings.length} wordings so far</summary>
      <ol className="mt-2 flex flex-col gap-1.5">
        {wordings.map((wording) => (
          <li key={wording.number} className="flex gap-3">
            <span className="numeric w-8 shrink-0 text-ink-muted">{wording.number}</span>
            <span className="grow">{wording.instruction}</span>
            <span className="numeric shrink-0 text-ink-muted">
              {formatDay(Date.parse(wording.at))}
              {wording.by_name === "" ? "" : `, ${wording.by_name}`}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}
