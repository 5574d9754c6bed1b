/** Autonomous success: the latest figure, the chart or its table, the definition, the CSV. Task and window in the URL. */

import { ChartLine, Download } from "lucide-react";
import { useId } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Tabs } from "@/components/ui/tabs";
import { notify } from "@/components/ui/toast";
import { Tooltip } from "@/components/ui/tooltip";
import { type SuccessSeries, useSuccess } from "@/features/training/api/success";
import { useTasks } from "@/features/training/api/tasks";
import { SuccessChart } from "@/features/training/components/success-chart";
import { SuccessTable } from "@/features/training/components/success-table";
import { successCsv } from "@/features/training/success-csv";
import { proportionOf } from "@/features/training/success-points";
import { useUrlChoice, useUrlText } from "@/hooks/use-url-choice";
import { saveText } from "@/lib/save-file";
import { formatCount, formatDuration, formatNoun, formatPercent } from "@/lib/units/format";
import { formatInterval, formatProportion } from "@/lib/units/interval";
import { seconds } from "@/lib/units/quantity";

const WINDOWS = ["120", "300", "900", "3600"] as const;
const DEFAULT_WINDOW = "300";
const windowOptions = WINDOWS.map((value) => ({ value, label: `Over ${formatDuration(seconds(Number(value)))}` }));
const forms = [
  { value: "chart", label: "Chart" },
  { value: "table", label: "Table" },
] as const;

/** Of the whole fleet, or of the episodes that one run's versions drove. */
export function SuccessPanel({ runId = null }: { readonly runId?: string | null }) {
  const panelId = useId();
  const [task, setTask] = useUrlText("task", "");
  const [window, setWindow] = useUrlChoice("window", WINDOWS, DEFAULT_WINDOW);
  const [form, setForm] = useUrlChoice("success", ["chart", "table"], "chart");
  const tasks = useTasks().data ?? [];
  const { data, error, refetch } = useSuccess(task, seconds(Number(window)), runId);
  const taskOptions = [{ value: "", label: "All tasks" }, ...tasks.map(({ slug }) => ({ value: slug, label: slug }))];
  const save = () => {
    if (data === undefined) return;
    saveText(`success-${task || "all"}-${window}s.csv`, successCsv(data, task), "text/csv");
    notify("done", "The data of the chart was saved as CSV.");
  };

  return (
    <Panel
      title="Autonomous success"
      actions={
        <div className="flex gap-2">
          <SelectField label="Task" isLabelHidden className="w-26" options={taskOptions} value={task} onValue={setTask} />
          <SelectField
            label="Sliding window"
            isLabelHidden
            className="w-28"
            options={windowOptions}
            value={window}
            onValue={(value) => setWindow(value as (typeof WINDOWS)[number])}
          />
        </div>
      }
    >
      <div className="mt-1 mb-2 flex flex-wrap items-center justify-between gap-x-3 gap-y-1">
        <Latest series={data} />
        <div className="ml-auto flex items-center gap-1">
          <Tooltip text="Download as CSV" side="right">
            <Button variant="icon" aria-label="Download as CSV" onClick={save} disabled={data === undefined || data.points.length === 0}>
              <Download aria-hidden className="size-4" />
            </Button>
          </Tooltip>
          <Tabs label="Form" value={form} options={forms} onValue={setForm} controls={panelId} />
        </div>
      </div>
      <div id={panelId} role="tabpanel" aria-label={form === "chart" ? "Chart" : "Table"} className={runId === null ? "h-54 2xl:h-72" : "h-80"}>
        <Content series={data} form={form} error={error} onRetry={() => void refetch()} />
      </div>
      <p className="mt-2 min-h-20 text-xs text-ink-muted 2xl:min-h-16">{data === undefined ? null : footnote(data)}</p>
    </Panel>
  );
}

/** What the numbers are: the server's definition, then what the picture adds to it. */
function footnote({ definition, window_s }: SuccessSeries): string {
  const window = `Sliding window of ${formatDuration(seconds(window_s))}.`;
  return `${definition} ${window} Band: 95 % Wilson interval. Marks: policy versions when published.`;
}

function Latest({ series }: { readonly series: SuccessSeries | undefined }) {
  const point = series?.points.at(-1);
  if (point === undefined) return <div className="h-9" />;
  if (point.n === 0) return <p className="h-9 content-center text-sm text-ink-muted">No episodes in the latest window</p>;
  const value = proportionOf(point);
  return (
    <p className="numeric flex h-9 items-center gap-3">
      <span className="text-2xl font-semibold">{formatPercent(value.rate)}</span>
      <span className="label whitespace-nowrap">
        95 % interval {formatInterval(value)}
        <br />n = {formatNoun(value.n, "episode")}
      </span>
    </p>
  );
}

interface ContentProps {
  readonly series: SuccessSeries | undefined;
  readonly form: "chart" | "table";
  readonly error: Error | null;
  readonly onRetry: () => void;
}

function Content({ series, form, error, onRetry }: ContentProps) {
  if (series === undefined && error !== null) {
    return (
      <ReadFailed title="Success could not be read" error={error} onRetry={onRetry} />
    );
  }
  if (series === undefined) return <Skeleton className="h-full" />;
  const last = series.points.at(-1);
  if (last === undefined) {
    return (
      <Notice icon={ChartLine} title="No finished episodes yet">
        The curve starts when the first online episode of this task is registered.
      </Notice>
    );
  }
  if (form === "table") return <SuccessTable series={series} />;
  const versions = `${formatCount(series.versions.length)} policy versions marked`;
  const description = `Autonomous success rate over time. Latest: ${formatProportion(proportionOf(last))}. ${versions}.`;
  return <SuccessChart series={series} description={description} />;
}
