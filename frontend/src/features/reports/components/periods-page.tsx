/** `/reports/periods`: one period against another: did it get better, by how much, and how sure is that? All in the URL. */

import { CalendarX, Download } from "lucide-react";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { SelectField, TextField } from "@/components/ui/field";
import { MultiSelect } from "@/components/ui/multi-select";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { useRobotChoices, useTaskChoices } from "@/features/reports/api/choices";
import { useComparison } from "@/features/reports/api/metrics";
import { Compared, comparedCsv } from "@/features/reports/components/compared";
import { changed } from "@/features/reports/hooks/use-report-filter";
import { endsOf, type Period, type PeriodName, periodOf, periodText } from "@/features/reports/periods";
import { apiPeriods, episodesUrl, filterOf } from "@/features/reports/report-query";
import { saveText } from "@/lib/save-file";

const OF = [
  { value: "", label: "Unaided success" },
  { value: "success", label: "Success rate" },
] as const;

export function PeriodsPage() {
  const [parameters, setParameters] = useSearchParams();
  const [now] = useState(() => Date.now());
  const set = (name: string, value: string | readonly string[]) =>
    setParameters((previous) => changed(previous, { [name]: value }), { replace: true, preventScrollReset: true });
  const filter = filterOf(parameters);
  const of = parameters.get("of") === "success" ? "success" : "unaided";
  const first = periodOf(parameters, "first", filter.zone, now);
  const second = periodOf(parameters, "second", filter.zone, now);
  const ends = [endsOf(first, filter.zone), endsOf(second, filter.zone)] as const;
  const problem = ends.find((each) => typeof each === "string");
  return (
    <>
      <p className="text-sm">
        <Link to="/reports" className="text-link underline underline-offset-2">
          Reports
        </Link>
      </p>
      <h1 className="mb-3 text-xl font-semibold">Two periods</h1>
      <div role="group" aria-label="What is compared" className="mb-4 flex flex-wrap items-end gap-x-6 gap-y-3">
        <PeriodFields name="first" label="Period" period={first} onDay={set} />
        <PeriodFields name="second" label="Compared with" period={second} onDay={set} />
        <SelectField label="Counted as good" className="w-44" options={OF} value={of === "success" ? of : ""} onValue={(value) => set("of", value)} />
        <MultiSelect label="Tasks" all="All tasks" className="w-40" values={filter.tasks} options={useTaskChoices()} onValues={(tasks) => set("task", tasks)} />
        <MultiSelect label="Robots" all="All robots" className="w-40" values={filter.robots} options={useRobotChoices()} onValues={(robots) => set("robot", robots)} />
      </div>
      {problem !== undefined || typeof ends[0] === "string" || typeof ends[1] === "string" ? (
        <Notice icon={CalendarX} title="Nothing to compare">
          {problem}
        </Notice>
      ) : (
        <Difference query={`${apiPeriods(filter, ends[0], ends[1])}&of=${of}`} filter={filter} periods={[first, second]} ends={[ends[0], ends[1]]} />
      )}
      <p className="mt-2 text-xs text-ink-muted">
        Days in {filter.zone.replaceAll("_", " ")}, both included. The difference is the period minus the one it is compared with, taken within each
        task.
      </p>
    </>
  );
}

interface PeriodFieldsProps {
  readonly name: PeriodName;
  readonly label: string;
  readonly period: Period;
  readonly onDay: (name: string, day: string) => void;
}

function PeriodFields({ name, label, period, onDay }: PeriodFieldsProps) {
  return (
    <fieldset className="min-w-0">
      <legend className="mb-1 text-sm font-medium">{label}</legend>
      <div className="flex flex-wrap gap-2">
        <TextField label={`${label}, first day`} isLabelHidden type="date" className="w-38" value={period.from} onChange={(event) => onDay(`${name}_from`, event.target.value)} />
        <TextField label={`${label}, last day`} isLabelHidden type="date" className="w-38" value={period.until} onChange={(event) => onDay(`${name}_until`, event.target.value)} />
      </div>
    </fieldset>
  );
}

interface Ends {
  readonly since_ms: number;
  readonly until_ms: number;
}

interface DifferenceProps {
  readonly query: string;
  readonly filter: ReturnType<typeof filterOf>;
  readonly periods: readonly [Period, Period];
  readonly ends: readonly [Ends, Ends];
}

function Difference({ query, filter, periods, ends }: DifferenceProps) {
  const { data, error, refetch } = useComparison(query);
  const labels = [periodText(periods[0]), periodText(periods[1])] as const;
  const link = (side: 0 | 1) => (
    <Link className="text-link underline" to={episodesUrl(filter, ends[side])} aria-label={`Show the episodes of ${labels[side]}`}>
      Show
    </Link>
  );
  if (data === undefined && error === null) return <Skeleton className="h-64" />;
  return (
    <Panel
      title={`${labels[0]} against ${labels[1]}`}
      actions={
        <Button
          disabled={data === undefined}
          onClick={() => data && saveText("two-periods.csv", `# ${data.method}\n${comparedCsv(data, labels)}\n`, "text/csv")}
        >
          <Download aria-hidden className="size-4" />
          Save as CSV
        </Button>
      }
    >
      {data === undefined ? (
        <ReadFailed title="They could not be compared" error={error} onRetry={() => void refetch()} />
      ) : (
        <Compared title="Two periods compared" comparison={data} labels={labels} links={[link(0), link(1)]} />
      )}
    </Panel>
  );
}
