/** One robot's work at one task: how often, with which priority, in which hours; or the end of it. */

import { Plus, X } from "lucide-react";
import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { type HoursWindow, type Move, plain, versionAt } from "@/features/assignments/api/board";
import { DAYS } from "@/features/assignments/board-words";
import type { Place } from "@/features/assignments/components/assignment-board";

interface WorkDialogProps {
  readonly place: Place;
  readonly onClose: () => void;
  readonly onMoves: (moves: readonly Move[], told: string) => void;
}

const priorities = Array.from({ length: 19 }, (_, index) => String(9 - index)).map((value) => ({ value, label: value }));
const zones = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
const newWindow: HoursWindow = { days: [0, 1, 2, 3, 4], from: "09:00", until: "17:00" };

export function WorkDialog({ place: { robot, task }, onClose, onMoves }: WorkDialogProps) {
  const work = robot.assignments.find((each) => each.task === task.slug);
  const version = versionAt(robot, task);
  const [weight, setWeight] = useState(String(work?.weight ?? plain.weight));
  const [priority, setPriority] = useState(String(work?.priority ?? plain.priority));
  const [windows, setWindows] = useState(work?.windows ?? plain.windows);
  const [zone, setZone] = useState(work?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const terms = { weight: Number(weight), priority: Number(priority), windows, time_zone: zone };
    onMoves([{ robot, task, terms, version }], `${robot.name} works at ${task.slug}.`);
    onClose();
  };
  const end = () => {
    onMoves([{ robot, task, terms: null, version }], `${robot.name} ends its work at ${task.slug} after this episode.`);
    onClose();
  };
  return (
    <Dialog title={`${robot.name} at ${task.slug}`} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <p className="text-sm text-ink-muted">{task.instruction}</p>
        <div className="grid gap-4 sm:grid-cols-2">
          <div>
            <TextField
              label="Weight"
              data-autofocus
              type="number"
              required
              min={0.001}
              max={1000}
              step="any"
              value={weight}
              onChange={(event) => setWeight(event.target.value)}
            />
            <p className="mt-1 text-xs text-ink-muted">How often it is drawn, against the robot&apos;s other tasks.</p>
          </div>
          <div>
            <SelectField label="Priority" options={priorities} value={priority} onValue={setPriority} />
            <p className="mt-1 text-xs text-ink-muted">Only the highest that counts now is worked at.</p>
          </div>
        </div>
        <Hours windows={windows} onWindows={setWindows} />
        {windows.length === 0 ? null : (
          <SelectField
            label="Time zone of the hours"
            options={zones.map((value) => ({ value, label: value }))}
            value={zone}
            onValue={setZone}
          />
        )}
        <div className="flex justify-end gap-2">
          {work === undefined ? null : (
            <Button variant="quiet" className="mr-auto" onClick={end}>
              End this work
            </Button>
          )}
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" type="submit">
            {work === undefined ? "Assign" : "Save"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

interface HoursProps {
  readonly windows: readonly HoursWindow[];
  readonly onWindows: (windows: readonly HoursWindow[]) => void;
}

function Hours({ windows, onWindows }: HoursProps) {
  const set = (index: number, window: HoursWindow) => onWindows(windows.with(index, window));
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="mb-1 text-sm font-medium">Hours</legend>
      {windows.length === 0 ? <p className="text-sm text-ink-muted">Always.</p> : null}
      {windows.map((window, index) => (
        <div key={index} className="flex flex-wrap items-end gap-2">
          <Days days={window.days} onDays={(days) => set(index, { ...window, days })} />
          <TextField
            label={`From, hours ${index + 1}`}
            isLabelHidden
            type="time"
            required
            className="w-28"
            value={window.from}
            onChange={(event) => set(index, { ...window, from: event.target.value })}
          />
          <TextField
            label={`Until, hours ${index + 1}`}
            isLabelHidden
            type="time"
            required
            className="w-28"
            value={window.until}
            onChange={(event) => set(index, { ...window, until: event.target.value })}
          />
          <Button variant="icon" aria-label={`Remove hours ${index + 1}`} onClick={() => onWindows(windows.toSpliced(index, 1))}>
            <X aria-hidden className="size-4" />
          </Button>
        </div>
      ))}
      <Button variant="quiet" className="self-start" disabled={windows.length >= 20} onClick={() => onWindows([...windows, newWindow])}>
        <Plus aria-hidden className="size-4" />
        Add hours
      </Button>
    </fieldset>
  );
}

/** At least one day stays chosen. */
function Days({ days, onDays }: { readonly days: readonly number[]; readonly onDays: (days: readonly number[]) => void }) {
  const toggle = (day: number) => {
    const next = days.includes(day) ? days.filter((each) => each !== day) : [...days, day];
    if (next.length > 0) onDays(next.toSorted((a, b) => a - b));
  };
  return (
    <div className="flex gap-1">
      {DAYS.map((name, day) => (
        <label key={name} className="flex h-8 items-center gap-1 rounded-md border border-line px-1.5 text-xs">
          <input type="checkbox" className="size-3.5 accent-action" checked={days.includes(day)} onChange={() => toggle(day)} />
          {name}
        </label>
      ))}
    </div>
  );
}
