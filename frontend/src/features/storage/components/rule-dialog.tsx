/** A retention rule: what it looks at, what it keeps, and what it would remove now, which is seen before it is saved. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { type Preview, type Rule, type RuleWish, useChangeRule, useCreateRule, usePreview, useTasks } from "@/features/storage/api/storage";
import { TaskTable } from "@/features/storage/components/usage-panel";
import { kinds } from "@/features/storage/storage-words";
import { changeProblem } from "@/lib/api/errors";
import { formatBytes, formatNoun } from "@/lib/units/format";

const GB = 1e9;
const OTHERS = "";

interface RuleDialogProps {
  readonly rule: Rule | null;
  readonly onClose: () => void;
}

export function RuleDialog({ rule, onClose }: RuleDialogProps) {
  const [task, setTask] = useState(rule?.task ?? OTHERS);
  const [chosen, setChosen] = useState<readonly string[]>(rule?.kinds ?? ["failures", "aborted"]);
  const [days, setDays] = useState(rule === null ? "90" : `${rule.keep_days ?? ""}`);
  const [gigabytes, setGigabytes] = useState(rule?.keep_bytes == null ? "" : `${rule.keep_bytes / GB}`);
  const [takes, setTakes] = useState(rule?.takes_interventions ?? false);
  const preview = usePreview();
  const create = useCreateRule();
  const change = useChangeRule();
  const tasks = useTasks().data ?? [];
  const wish: RuleWish = {
    task: task === OTHERS ? null : task,
    kinds: chosen,
    keep_days: days === "" ? null : Number(days),
    keep_bytes: gigabytes === "" ? null : Math.round(Number(gigabytes) * GB),
    takes_interventions: takes,
  };
  const error = preview.error ?? create.error ?? change.error;
  const isSeen = preview.data !== undefined && JSON.stringify(preview.variables) === JSON.stringify(wish);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!isSeen) preview.mutate(wish);
    else if (rule === null) create.mutate(wish, { onSuccess: onClose });
    else {
      const values = { kinds: chosen, keep_days: wish.keep_days, keep_bytes: wish.keep_bytes, takes_interventions: takes };
      change.mutate({ rule, ...values }, { onSuccess: onClose });
    }
  };
  return (
    <Dialog title={rule === null ? "New rule" : `Change the rule for ${rule.task_slug ?? "all other tasks"}`} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <SelectField
          label="Task"
          value={task}
          disabled={rule !== null}
          onValue={setTask}
          options={[
            { value: OTHERS, label: "All tasks without a rule of their own" },
            ...tasks.map((each) => ({ value: each.id, label: each.slug })),
          ]}
        />
        <fieldset>
          <legend className="mb-1 text-sm font-medium">Episodes that may go</legend>
          <div className="grid gap-x-4 sm:grid-cols-2">
            {kinds.map((kind) => (
              <Check
                key={kind.value}
                label={kind.label}
                isOn={chosen.includes(kind.value)}
                onToggle={() =>
                  setChosen(chosen.includes(kind.value) ? chosen.filter((each) => each !== kind.value) : [...chosen, kind.value].sort())
                }
              />
            ))}
          </div>
          <Check label="Also those in which somebody took over" isOn={takes} onToggle={() => setTakes(!takes)} />
        </fieldset>
        <div className="grid gap-3 sm:grid-cols-2">
          <TextField label="Kept for (days)" type="number" min={1} max={36500} value={days} onChange={(event) => setDays(event.target.value)} />
          <TextField
            label="Kept at most (GB a task)"
            type="number"
            min={0}
            step="any"
            value={gigabytes}
            onChange={(event) => setGigabytes(event.target.value)}
          />
        </div>
        {isSeen ? <Found preview={preview.data} /> : null}
        <div className="flex items-center justify-end gap-3">
          <p role="alert" className="min-w-0 grow text-sm text-fault">
            {error === null ? null : changeProblem(error, "this rule")}
          </p>
          <Button
            type="submit"
            variant="primary"
            disabled={chosen.length === 0 || (days === "" && gigabytes === "") || preview.isPending || create.isPending || change.isPending}
          >
            {isSeen ? "Save the rule" : "Preview"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

interface CheckProps {
  readonly label: string;
  readonly isOn: boolean;
  readonly onToggle: () => void;
}

function Check({ label, isOn, onToggle }: CheckProps) {
  return (
    <label className="flex min-h-8 items-center gap-2 text-sm">
      <input type="checkbox" className="size-4 accent-action" checked={isOn} onChange={onToggle} />
      {label}
    </label>
  );
}

function Found({ preview }: { readonly preview: Preview }) {
  const stays = Object.entries(preview.protected);
  return (
    <section aria-label="Preview" className="rounded-md border border-line bg-inset p-3 text-sm">
      <p className="font-medium">
        Now {formatNoun(preview.episodes, "episode")} would go, {formatBytes(preview.bytes)}.
      </p>
      {stays.length === 0 ? null : (
        <p className="mt-1 text-ink-muted">
          Old or many enough, yet kept: {stays.map(([word, count]) => `${count} ${word}`).join("; ")}.
        </p>
      )}
      {preview.episodes === 0 ? null : <TaskTable caption="What would go, by task" rows={preview.by_task} />}
      {preview.examples.length === 0 ? null : (
        <p className="mt-2 text-ink-muted">
          For example{" "}
          {preview.examples.map((id) => (
            <a key={id} className="mr-2 font-mono text-xs text-link" href={`/episodes/${id}`} target="_blank" rel="noreferrer">
              {id.slice(0, 8)}
            </a>
          ))}
        </p>
      )}
    </section>
  );
}
