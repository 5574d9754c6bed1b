/** Some measures over time in one chart, with totals, targets and the episodes behind every bucket. */

import { Link } from "react-router";

import { ChartFrame } from "@/components/chart/chart-frame";
import { LineChart } from "@/components/chart/line-chart";
import { Cell, Table } from "@/components/ui/table";
import type { Estimate, OverTime } from "@/features/reports/api/metrics";
import { episodesUrl, type ReportFilter } from "@/features/reports/report-query";
import { definitionsOf, formatEnds, formatEstimate, formatN, formatValue } from "@/features/reports/words";
import { csvRow } from "@/lib/save-file";
import { formatInZone } from "@/lib/time-zone";
import { formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

interface MeasureChartProps {
  readonly title: string;
  readonly names: readonly string[];
  readonly data: OverTime | undefined;
  readonly error: Error | null;
  readonly onRetry: () => void;
  readonly filter: ReportFilter;
  readonly hasTargets?: boolean;
}

export function MeasureChart({ title, names, data, error, onRetry, filter, hasTargets = false }: MeasureChartProps) {
  const picked = (data?.measures ?? []).map((measure, place) => ({ measure, place })).filter(({ measure }) => names.includes(measure.name));
  const measures = picked.map(({ measure }) => measure);
  const unit = measures[0]?.unit ?? "index";
  const points = data?.points ?? [];
  const edges = [...points.map(({ since_ms }) => since_ms), points.at(-1)?.until_ms ?? 0];
  const isEmpty = !points.some((point) => picked.some(({ place }) => (point.estimates[place]?.exposure ?? 0) > 0));
  const hrefOf = (bucket: number) => {
    const point = points[bucket];
    return point === undefined ? "/episodes" : episodesUrl(filter, point);
  };
  const csv = () =>
    [
      csvRow(["since", "until", ...measures.flatMap(({ name }) => [name, `${name}_low`, `${name}_high`, `${name}_n`])]),
      ...points.map((point) => csvRow([iso(point.since_ms), iso(point.until_ms), ...picked.flatMap(({ place }) => cells(point.estimates[place]))])),
    ].join("\n");
  return (
    <ChartFrame
      title={title}
      definitions={definitionsOf(measures)}
      fileName={`${names[0] ?? "chart"}-over-time`}
      csv={csv}
      isLoading={data === undefined && error === null}
      error={data === undefined ? error : null}
      onRetry={onRetry}
      empty={isEmpty ? "No episodes here" : null}
      note={
        <ul>
          {picked.map(({ measure, place }) => {
            const total = data?.total[place];
            return total === undefined ? null : (
              <li key={measure.name}>
                {measure.title}, whole range: <strong className="numeric">{formatEstimate(total, measure)}</strong>
              </li>
            );
          })}
        </ul>
      }
      chart={
        <LineChart
          title={title}
          edges={edges}
          zone={filter.zone}
          format={(value) => formatValue(value, unit)}
          formatEnds={(low, high) => formatEnds(low, high, unit)}
          {...(unit === "share" && names[0] !== "human_share" ? { top: 1 } : {})}
          lines={picked.map(({ measure, place }) => ({ name: measure.title, points: points.map((point) => asPoint(point.estimates[place], measure)) }))}
          targets={hasTargets ? targetsOf(data) : []}
          marks={(data?.versions ?? []).map((version) => ({ at: version.published_ms, label: `v${version.number}` }))}
          hrefOf={hrefOf}
        />
      }
      table={
        <Table
          caption={title}
          className="max-h-96"
          columns={[{ key: "since", label: "From" }, ...measures.map(({ name, title: label }) => ({ key: name, label, isNumeric: true })), { key: "episodes", label: "Episodes" }]}
        >
          {points.filter((point) => point.estimates.some(({ exposure }) => exposure > 0)).map((point) => (
            <tr key={point.since_ms}>
              <Cell className="whitespace-nowrap">{formatInZone(point.since_ms, filter.zone, "full")}</Cell>
              {picked.map(({ measure, place }) => (
                <Cell key={measure.name} isNumeric>
                  {formatEstimate(point.estimates[place] ?? NONE, measure)}
                </Cell>
              ))}
              <Cell>
                <Link className="text-link underline" to={episodesUrl(filter, point)}>
                  Show
                </Link>
              </Cell>
            </tr>
          ))}
        </Table>
      }
    />
  );
}

export const NONE: Estimate = { value: null, low: null, high: null, n: 0, events: 0, exposure: 0 };
const iso = (time: number) => new Date(time).toISOString();
export const cells = (estimate: Estimate = NONE) => [estimate.value, estimate.low, estimate.high, estimate.n];

export const asPoint = (estimate: Estimate = NONE, measure: { readonly unit: string }) => ({
  value: estimate.value,
  low: estimate.low,
  high: estimate.high,
  note: formatN(estimate, measure),
});

/** One line a rate: tasks with the same target share it. */
export function targetsOf(data: OverTime | undefined) {
  const tasks = new Map<number, string[]>();
  for (const { task, target } of data?.targets ?? []) tasks.set(target, [...(tasks.get(target) ?? []), task]);
  return [...tasks].map(([value, names]) => ({
    value,
    label: `Target ${formatPercent(fraction(value))}${tasks.size === 1 ? "" : ` (${names.length > 2 ? `${names.length} tasks` : names.join(", ")})`}`,
  }));
}
