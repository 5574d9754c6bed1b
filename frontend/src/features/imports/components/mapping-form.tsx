/** What becomes what, edited over the proposal and checked while it is; the run follows from it. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { type Mapped, type Mapping, type Report, useMisfits, useRun } from "@/features/imports/api/imports";
import { CameraRows } from "@/features/imports/components/camera-rows";
import { ColumnFields } from "@/features/imports/components/column-fields";
import { ReportPanel } from "@/features/imports/components/report-panel";
import { TaskRows } from "@/features/imports/components/task-rows";
import { useSettled } from "@/hooks/use-settled";
import { hindrance } from "@/features/imports/import-words";
import { formatNoun } from "@/lib/units/format";

interface MappingFormProps {
  readonly id: string;
  readonly report: Report;
  readonly mapped: Mapped;
}

/** What the parts of the form are given. `problem`: what the server says of a field, "" if it fits. */
export interface PartProps {
  readonly report: Report;
  readonly mapping: Mapping;
  readonly change: (part: Partial<Mapping>) => void;
  readonly problem: (field: string) => string;
}

export function MappingForm({ id, report, mapped }: MappingFormProps) {
  const [mapping, setMapping] = useState(mapped.mapping);
  const settled = useSettled(mapping);
  const checked = useMisfits(id, settled);
  const run = useRun(id);
  const misfits = checked.data?.misfits ?? mapped.misfits;
  const stops = hindrance(mapping, misfits, report.problems);
  const isStale = settled !== mapping || checked.isFetching;
  const parts: PartProps = {
    report,
    mapping,
    change: (part) => setMapping((before) => ({ ...before, ...part })),
    problem: (field) => misfits.find((misfit) => misfit.field === field)?.message ?? "",
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    run.mutate({ mapping, revision: mapped.revision, misfits: [] });
  };
  const broken = report.episodes - report.sound;
  const coming = mapping.leave_out_broken ? report.sound : report.episodes;
  return (
    <div className="flex flex-col gap-4">
      <ReportPanel report={report} mapping={mapping} />
      <form onSubmit={submit} aria-label="Mapping">
        <Panel title="What becomes what">
          <div className="flex flex-col gap-5">
            {report.is_own ? (
              <Check
                label="Take our own columns as they are"
                note="The dataset is an export of this software: steps, interventions and outcomes come back exactly as they were."
                isChecked={mapping.is_own}
                onChecked={(is_own) => parts.change({ is_own })}
              />
            ) : null}
            <p role="alert" className="text-sm text-fault empty:hidden">
              {parts.problem("is_own")}
            </p>
            {mapping.is_own ? null : <ColumnFields {...parts} />}
            <CameraRows {...parts} />
            <TaskRows {...parts} />
            {broken > 0 ? (
              <Check
                label={`Leave out ${formatNoun(broken, "episode")} with problems`}
                note="The others come in. Without this, one problem keeps the whole dataset out."
                isChecked={mapping.leave_out_broken}
                onChecked={(leave_out_broken) => parts.change({ leave_out_broken })}
              />
            ) : null}
          </div>
          <div className="mt-5 flex flex-wrap items-center justify-end gap-3 border-t border-line pt-3">
            <p role="status" className="min-w-0 grow text-sm text-ink-muted">
              {stops === "" ? "The mapping fits. Episodes show in the library together, when all are there." : `Not yet: ${stops}.`}
            </p>
            <p role="alert" className="text-sm text-fault">
              {run.error?.message ?? checked.error?.message}
            </p>
            <Button type="submit" variant="primary" disabled={stops !== "" || isStale || run.isPending}>
              Import {formatNoun(coming, "episode")}
            </Button>
          </div>
        </Panel>
      </form>
    </div>
  );
}

interface CheckProps {
  readonly label: string;
  readonly note: string;
  readonly isChecked: boolean;
  readonly onChecked: (isChecked: boolean) => void;
}

function Check({ label, note, isChecked, onChecked }: CheckProps) {
  return (
    <label className="flex items-start gap-2 text-sm">
      <input
        type="checkbox"
        className="mt-0.5 size-4 shrink-0 accent-action"
        checked={isChecked}
        onChange={(event) => onChecked(event.target.checked)}
      />
      <span>
        <span className="font-medium">{label}</span>
        <span className="block text-xs text-ink-muted">{note}</span>
      </span>
    </label>
  );
}
