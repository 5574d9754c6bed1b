/** Columns of numbers: state, action, reward, who drove, how it ended, and the rate. */

import { SelectField, TextField } from "@/components/ui/field";
import type { Feature, Mapping, OutcomeSource } from "@/features/imports/api/imports";
import { FieldProblem } from "@/features/imports/components/field-problem";
import type { PartProps } from "@/features/imports/components/mapping-form";
import { formatNoun, formatNumber, withUnit } from "@/lib/units/format";

const INDICES = new Set(["timestamp", "frame_index", "episode_index", "index", "task_index"]);
const NO_NUMBERS = new Set(["video", "image", "string"]);
const widthOf = (feature: Feature) => feature.shape[0] ?? 1;

export function ColumnFields({ report, mapping, change, problem }: PartProps) {
  const columns = report.features.filter(
    (feature) => !INDICES.has(feature.name) && !NO_NUMBERS.has(feature.dtype) && feature.shape.length <= 1,
  );
  const scalars = columns.filter((feature) => widthOf(feature) === 1).map((feature) => ({ value: feature.name, label: feature.name }));
  const vectors = columns.filter((feature) => feature.dtype.startsWith("float"));
  const rate = report.fps / mapping.keep_every;
  return (
    <div className="grid gap-x-6 gap-y-4 md:grid-cols-2">
      <fieldset>
        <legend className="mb-1 text-sm font-medium">State (proprioception)</legend>
        <div className="max-h-44 overflow-y-auto" tabIndex={0} role="group" aria-label="Features of the state">
          {vectors.map((feature) => (
            <label key={feature.name} className="flex items-center gap-2 py-0.5 text-sm">
              <input
                type="checkbox"
                className="size-4 shrink-0 accent-action"
                checked={mapping.state.includes(feature.name)}
                onChange={() => change({ state: toggled(mapping.state, feature.name, vectors) })}
              />
              <span className="font-mono text-xs">{feature.name}</span>
              <span className="text-xs text-ink-muted">{formatNoun(widthOf(feature), "value")}</span>
            </label>
          ))}
        </div>
        <FieldProblem text={problem("state")} />
      </fieldset>
      <div className="flex flex-col gap-4">
        <div>
          <SelectField
            label="Action"
            options={[{ value: "", label: "choose a feature" }, ...columns.map((f) => ({ value: f.name, label: `${f.name} (${widthOf(f)})` }))]}
            value={mapping.action}
            onValue={(action) => change({ action })}
          />
          <FieldProblem text={problem("action")} />
        </div>
        <div>
          <TextField
            label={`Keep every n-th frame: control rate ${withUnit(formatNumber(rate), "Hz")}`}
            type="number"
            min={1}
            max={100}
            value={mapping.keep_every}
            onChange={(event) => change({ keep_every: Math.min(100, Math.max(1, Math.round(Number(event.target.value)) || 1)) })}
          />
          <FieldProblem text={problem("keep_every")} />
        </div>
      </div>
      <div>
        <SelectField
          label="Who drove"
          options={[{ value: "", label: "a person, throughout" }, ...scalars.map(({ value }) => ({ value, label: `a person where ${value} is true, else a policy` }))]}
          value={mapping.intervention}
          onValue={(intervention) => change({ intervention })}
        />
        <FieldProblem text={problem("intervention")} />
      </div>
      <div>
        <SelectField
          label="Reward"
          options={[{ value: "", label: "none" }, ...scalars]}
          value={mapping.reward}
          onValue={(reward) => change({ reward })}
        />
        <FieldProblem text={problem("reward")} />
      </div>
      <div className="md:col-span-2">
        <SelectField label="How an episode ended" options={outcomes(report.outcome_columns, scalars)} value={outcomeValue(mapping)} onValue={(value) => change({ outcome: outcomeRule(value) })} />
        <FieldProblem text={problem("outcome")} />
      </div>
    </div>
  );
}

/** In the dataset's order, so that the same choice gives the same columns. */
function toggled(chosen: readonly string[], name: string, all: readonly Feature[]): readonly string[] {
  const next = new Set(chosen);
  if (!next.delete(name)) next.add(name);
  return all.map((feature) => feature.name).filter((each) => next.has(each));
}

const outcomes = (episodes: readonly string[], frames: readonly { readonly value: string }[]) => [
  { value: "same:success", label: "all succeeded" },
  { value: "same:failure", label: "all failed" },
  ...episodes.map((name) => ({ value: `episode:${name}`, label: `as the episode's column ${name} says` })),
  ...frames.map(({ value }) => ({ value: `frames:${value}`, label: `succeeded where ${value} is true in some frame` })),
];

const outcomeValue = ({ outcome }: Mapping) =>
  outcome.source === "same" ? `same:${outcome.same}` : `${outcome.source}:${outcome.column}`;

function outcomeRule(value: string): Mapping["outcome"] {
  const at = value.indexOf(":");
  const [source, name] = [value.slice(0, at) as OutcomeSource, value.slice(at + 1)];
  return source === "same" ? { source, column: "", same: name } : { source, column: name, same: "success" };
}
