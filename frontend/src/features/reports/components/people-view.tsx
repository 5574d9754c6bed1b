/** How long robots waited for people, how long people took, how busy each was. */

import { ChartFrame } from "@/components/chart/chart-frame";
import { LineChart } from "@/components/chart/line-chart";
import { Cell, Table } from "@/components/ui/table";
import { useOperators } from "@/features/reports/api/metrics";
import type { ReportFilter } from "@/features/reports/report-query";
import { formatValue } from "@/features/reports/words";
import { csvRow } from "@/lib/save-file";
import { formatInZone } from "@/lib/time-zone";
import { formatCount, formatDuration, formatPercent } from "@/lib/units/format";
import { fraction, seconds } from "@/lib/units/quantity";

const LINES = [
  { name: "Waiting, median", kind: "waiting", end: "p50_s" },
  { name: "Waiting, p90", kind: "waiting", end: "p90_s" },
  { name: "Service, median", kind: "service", end: "p50_s" },
  { name: "Service, p90", kind: "service", end: "p90_s" },
] as const;
const said = (value: number | null) => (value === null ? "–" : formatValue(value, "s"));

export function PeopleView({ query, filter }: { readonly query: string; readonly filter: ReportFilter }) {
  const { data, error, refetch } = useOperators(query);
  const edges = data?.edges_ms ?? [];
  const points = data?.points ?? [];
  const people = data?.operators ?? [];
  const definitions = Object.entries(data?.definitions ?? {}).map(([term, text]) => ({ term: `${term.charAt(0).toUpperCase()}${term.slice(1)}`, text }));
  const common = { isLoading: data === undefined && error === null, error: data === undefined ? error : null, onRetry: () => void refetch(), definitions };
  const total = data?.total;
  const table = (
    <Table
      caption="Operators"
      columns={[
        { key: "operator", label: "Operator" },
        { key: "takeovers", label: "Takeovers", isNumeric: true },
        { key: "switches", label: "Switches", isNumeric: true },
        { key: "robots", label: "Robots", isNumeric: true },
        { key: "dwell", label: "Dwell, median (p90)", isNumeric: true },
        { key: "held", label: "Held", isNumeric: true },
        { key: "utilisation", label: "Utilisation", isNumeric: true },
      ]}
    >
      {people.map((row) => (
        <tr key={row.operator}>
          <Cell>{row.operator}</Cell>
          <Cell isNumeric>{formatCount(row.takeovers)}</Cell>
          <Cell isNumeric>{formatCount(row.switches)}</Cell>
          <Cell isNumeric>{formatCount(row.robots)}</Cell>
          <Cell isNumeric>{`${said(row.dwell.p50_s)} (${said(row.dwell.p90_s)})`}</Cell>
          <Cell isNumeric>{formatDuration(seconds(row.held_s))}</Cell>
          <Cell isNumeric>{formatPercent(fraction(row.utilisation))}</Cell>
        </tr>
      ))}
    </Table>
  );
  return (
    <>
      <ChartFrame
        title="Operator wait and service"
        fileName="operator-wait"
        csv={() => [csvRow(["since", "answered", "unanswered", ...LINES.map(({ kind, end }) => `${kind}_${end}`)]), ...points.map((point, bucket) => csvRow([new Date(edges[bucket] ?? 0).toISOString(), point.answered, point.unanswered, ...LINES.map(({ kind, end }) => point[kind][end])]))].join("\n")}
        {...common}
        empty={total !== undefined && total.answered + total.unanswered === 0 ? "Nobody was asked for help" : null}
        note={total ? `Whole range: waiting ${said(total.waiting.p50_s)} median, ${said(total.waiting.p90_s)} p90, n = ${formatCount(total.answered)}; ${formatCount(total.unanswered)} unanswered.` : null}
        chart={
          <LineChart
            title="Operator wait and service"
            edges={edges}
            zone={filter.zone}
            format={(value) => formatValue(value, "s")}
            lines={LINES.map(({ name, kind, end }) => ({ name, points: points.map((point) => ({ value: point[kind][end], low: null, high: null, note: `n = ${formatCount(point[kind].n)}` })) }))}
          />
        }
        table={
          <Table caption="Operator wait and service" className="max-h-96" columns={[{ key: "since", label: "From" }, ...LINES.map(({ name }) => ({ key: name, label: name, isNumeric: true })), { key: "n", label: "n", isNumeric: true }, { key: "unanswered", label: "Unanswered", isNumeric: true }]}>
            {points.map((point, bucket) =>
              point.answered + point.unanswered === 0 ? null : (
                <tr key={edges[bucket]}>
                  <Cell>{formatInZone(edges[bucket] ?? 0, filter.zone, "full")}</Cell>
                  {LINES.map(({ name, kind, end }) => (
                    <Cell key={name} isNumeric>
                      {said(point[kind][end])}
                    </Cell>
                  ))}
                  <Cell isNumeric>{formatCount(point.answered)}</Cell>
                  <Cell isNumeric>{formatCount(point.unanswered)}</Cell>
                </tr>
              ),
            )}
          </Table>
        }
      />
      <ChartFrame
        title="Operators"
        fileName="operators"
        csv={() => [csvRow(["operator", "takeovers", "switches", "robots", "dwell_p50_s", "dwell_p90_s", "held_s", "utilisation"]), ...people.map((row) => csvRow([row.operator, row.takeovers, row.switches, row.robots, row.dwell.p50_s, row.dwell.p90_s, row.held_s, row.utilisation]))].join("\n")}
        {...common}
        empty={people.length === 0 ? "Nobody took a robot over" : null}
        chart={table}
        table={table}
      />
    </>
  );
}
