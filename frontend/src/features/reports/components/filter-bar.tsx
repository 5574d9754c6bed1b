/** Range, tasks, robots, versions and time zone: they filter every chart, and live in the URL. */

import { SelectField, TextField } from "@/components/ui/field";
import { MultiSelect } from "@/components/ui/multi-select";
import { useRobotChoices, useTaskChoices, useVersionChoices } from "@/features/reports/api/choices";
import type { ReportState } from "@/features/reports/hooks/use-report-filter";
import { RANGES } from "@/features/reports/report-query";
import { browserZone } from "@/lib/time-zone";

const zones = [...new Set([browserZone(), "UTC", ...Intl.supportedValuesOf("timeZone")])].map((zone) => ({ value: zone, label: zone.replaceAll("_", " ") }));

export function FilterBar({ report }: { readonly report: ReportState }) {
  const { filter, set } = report;
  return (
    <div role="group" aria-label="Filters of all charts" className="mb-4 flex flex-wrap items-end gap-2">
      <SelectField label="Range" isLabelHidden className="w-32" options={RANGES} value={filter.range} onValue={(range) => set({ range })} />
      {filter.range === "custom" ? (
        <>
          <TextField label="First day" isLabelHidden type="date" className="w-38" value={filter.from} onChange={(event) => set({ from: event.target.value })} />
          <TextField label="Last day" isLabelHidden type="date" className="w-38" value={filter.until} onChange={(event) => set({ until: event.target.value })} />
        </>
      ) : null}
      <MultiSelect label="Tasks" all="All tasks" className="w-40" values={filter.tasks} options={useTaskChoices()} onValues={(task) => set({ task })} />
      <MultiSelect label="Robots" all="All robots" className="w-40" values={filter.robots} options={useRobotChoices()} onValues={(robot) => set({ robot })} />
      <MultiSelect label="Versions" all="All versions" className="w-40" values={filter.versions} options={useVersionChoices()} onValues={(version) => set({ version })} />
      <SelectField label="Time zone" isLabelHidden className="w-48" options={zones} value={filter.zone} onValue={(tz) => set({ tz })} />
    </div>
  );
}
