/** When a rule tells nobody: hours of the week, or once from a moment until another, in the rule's time zone. */

import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { days } from "@/features/alerts/alert-words";
import type { Silence } from "@/features/alerts/api/rules";

interface SilenceFieldsProps {
  readonly silences: readonly Silence[];
  readonly zone: string;
  readonly onSilences: (silences: readonly Silence[]) => void;
  readonly onZone: (zone: string) => void;
}

const weekly: Silence = { kind: "weekly", days: [0, 1, 2, 3, 4, 5, 6], from: "22:00", until: "06:00" };
const once: Silence = { kind: "once", from: "", until: "" };

export function SilenceFields({ silences, zone, onSilences, onZone }: SilenceFieldsProps) {
  const put = (at: number, silence: Silence) => onSilences(silences.map((each, index) => (index === at ? silence : each)));
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="mb-1 text-sm font-medium">Silent (recorded, and nobody is told)</legend>
      {silences.map((silence, at) => (
        <SilenceRow
          key={at}
          number={at + 1}
          silence={silence}
          onSilence={(changed) => put(at, changed)}
          onDrop={() => onSilences(silences.filter((_, index) => index !== at))}
        />
      ))}
      <div className="flex flex-wrap items-end gap-2">
        <Button onClick={() => onSilences([...silences, weekly])}>Add hours of the week</Button>
        <Button onClick={() => onSilences([...silences, once])}>Add a time once</Button>
        {silences.length === 0 ? null : (
          <TextField label="Time zone" className="w-56" required value={zone} onChange={(event) => onZone(event.target.value)} />
        )}
      </div>
    </fieldset>
  );
}

interface SilenceRowProps {
  readonly number: number;
  readonly silence: Silence;
  readonly onSilence: (silence: Silence) => void;
  readonly onDrop: () => void;
}

function SilenceRow({ number, silence, onSilence, onDrop }: SilenceRowProps) {
  const type = silence.kind === "weekly" ? "time" : "datetime-local";
  const chosen = silence.days ?? [];
  const toggle = (day: number) =>
    onSilence({ ...silence, days: chosen.includes(day) ? chosen.filter((each) => each !== day) : [...chosen, day].toSorted((a, b) => a - b) });
  return (
    <div role="group" aria-label={`Silence ${number}`} className="flex flex-wrap items-end gap-2 rounded-md border border-line p-2">
      {silence.kind === "weekly" ? (
        <div className="flex flex-wrap gap-2">
          {days.map((day) => (
            <label key={day.value} className="flex min-h-8 items-center gap-1 text-sm">
              <input type="checkbox" className="size-4 accent-action" checked={chosen.includes(day.value)} onChange={() => toggle(day.value)} />
              {day.label}
            </label>
          ))}
        </div>
      ) : null}
      <TextField label="From" type={type} required value={silence.from} onChange={(event) => onSilence({ ...silence, from: event.target.value })} />
      <TextField label="Until" type={type} required value={silence.until} onChange={(event) => onSilence({ ...silence, until: event.target.value })} />
      <Button variant="quiet" aria-label={`Remove silence ${number}`} onClick={onDrop}>
        Remove
      </Button>
    </div>
  );
}
