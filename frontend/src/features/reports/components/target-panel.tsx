/** When each task first reached its target. */

import { ChartFrame } from "@/components/chart/chart-frame";
import { Cell, Table } from "@/components/ui/table";
import { useTimeToTarget } from "@/features/reports/api/metrics";
import { csvRow } from "@/lib/save-file";
import { formatDuration, formatPercent } from "@/lib/units/format";
import { formatProportion } from "@/lib/units/interval";
import { fraction, seconds } from "@/lib/units/quantity";

export function TargetPanel({ query }: { readonly query: string }) {
  const { data, error, refetch } = useTimeToTarget(query);
  const rows = data?.tasks ?? [];
  const proportion = (rate: (typeof rows)[number]["newest"]) =>
    rate === null ? "fewer than 50 episodes" : formatProportion({ ...rate, rate: fraction(rate.rate), low: fraction(rate.low), high: fraction(rate.high) });
  const table = (
    <Table
      caption="Time to target"
      columns={[
        { key: "task", label: "Task" },
        { key: "target", label: "Target", isNumeric: true },
        { key: "time", label: "Reached after", isNumeric: true },
        { key: "newest", label: "Newest 50 episodes", isNumeric: true },
      ]}
    >
      {rows.map((row) => (
        <tr key={row.task}>
          <Cell>{row.task}</Cell>
          <Cell isNumeric>{formatPercent(fraction(row.target))}</Cell>
          <Cell isNumeric>{row.seconds === null ? "not yet" : exact(row.seconds)}</Cell>
          <Cell isNumeric>{proportion(row.newest)}</Cell>
        </tr>
      ))}
    </Table>
  );
  return (
    <ChartFrame
      title="Time to target"
      definitions={[{ term: "Time to target", text: data?.definition ?? "" }]}
      fileName="time-to-target"
      csv={() => [csvRow(["task", "target", "reached_at", "seconds"]), ...rows.map((row) => csvRow([row.task, row.target, row.reached_at, row.seconds]))].join("\n")}
      isLoading={data === undefined && error === null}
      error={data === undefined ? error : null}
      onRetry={() => void refetch()}
      empty={data !== undefined && (data.run === null || rows.length === 0) ? "No training run yet" : null}
      note={data?.run ? `Run ${data.run}. Whatever the range: a run reaches its target once.` : null}
      chart={table}
      table={table}
    />
  );
}

/** Hours and minutes: a run's time to target is compared to the minute. */
function exact(value: number): string {
  const minutes = Math.floor(Math.max(0, value) / 60);
  if (minutes < 60) return formatDuration(seconds(value));
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
