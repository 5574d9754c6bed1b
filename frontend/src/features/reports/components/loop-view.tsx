/** Every latency of the loop as percentiles over time, beside the published ones, and the backlog of uploads. */

import { ChartFrame } from "@/components/chart/chart-frame";
import { LineChart } from "@/components/chart/line-chart";
import { Cell, Table } from "@/components/ui/table";
import { type Loop, type Quantile, type SpanSeries, useLoop } from "@/features/reports/api/metrics";
import { episodesUrl, type ReportFilter } from "@/features/reports/report-query";
import { formatEnds, formatValue } from "@/features/reports/words";
import { csvRow } from "@/lib/save-file";
import { formatInZone } from "@/lib/time-zone";
import { formatCount, formatNoun } from "@/lib/units/format";

const QUANTILES = ["p50", "p90", "p99"] as const;
const HOW = "Percentiles between values are interpolated linearly; 95 % intervals by order statistics.";

export function LoopView({ query, filter }: { readonly query: string; readonly filter: ReportFilter }) {
  const { data, error, refetch } = useLoop(query);
  const state = { isLoading: data === undefined && error === null, error: data === undefined ? error : null, onRetry: () => void refetch() };
  return (
    <div className="grid grid-cols-1 gap-4 xl:grid-cols-2">
      <Overview data={data} state={state} />
      <BacklogChart data={data} state={state} filter={filter} />
      {(data?.spans ?? []).map((series) => (
        <SpanChart key={series.span.name} series={series} edges={data?.edges_ms ?? []} state={state} filter={filter} />
      ))}
    </div>
  );
}

interface State {
  readonly isLoading: boolean;
  readonly error: Error | null;
  readonly onRetry: () => void;
}

function Overview({ data, state }: { readonly data: Loop | undefined; readonly state: State }) {
  const spans = data?.spans ?? [];
  const rows = spans.map(({ span, total }) => ({
    span,
    total,
    published: span.reference ? `${span.reference.p50_s} s, ${span.reference.p99_s} s (${span.reference.source})` : "",
  }));
  const table = (
    <Table
      caption="Latencies of the whole range"
      columns={[{ key: "span", label: "Span" }, ...QUANTILES.map((name) => ({ key: name, label: name, isNumeric: true })), { key: "n", label: "n", isNumeric: true }, { key: "lwd", label: "Published p50, p99" }]}
    >
      {rows.map(({ span, total, published }) => (
        <tr key={span.name}>
          <Cell>{span.title}</Cell>
          {QUANTILES.map((name) => (
            <Cell key={name} isNumeric>
              {said(total[name], span.unit)}
            </Cell>
          ))}
          <Cell isNumeric>{formatCount(total.n)}</Cell>
          <Cell className="text-xs text-ink-muted">{published || "–"}</Cell>
        </tr>
      ))}
    </Table>
  );
  return (
    <div className="min-w-0 xl:col-span-2">
      <ChartFrame
        title="Latencies of the whole range"
        definitions={[...spans.map(({ span }) => ({ term: span.title, text: span.definition })), { term: "Percentiles", text: HOW }]}
        fileName="latencies"
        csv={() => [csvRow(["span", "unit", "n", "p50", "p90", "p99", "max"]), ...spans.map(({ span, total }) => csvRow([span.name, span.unit, total.n, total.p50.value, total.p90.value, total.p99.value, total.max]))].join("\n")}
        {...state}
        chart={table}
        table={table}
      />
    </div>
  );
}

function SpanChart({ series, edges, state, filter }: { readonly series: SpanSeries; readonly edges: readonly number[]; readonly state: State; readonly filter: ReportFilter }) {
  const { span, points, total } = series;
  const reference = span.reference;
  return (
    <ChartFrame
      title={span.title}
      definitions={[{ term: span.title, text: `${span.definition} One value a ${span.per}. ${HOW}` }]}
      fileName={span.name}
      csv={() => [csvRow(["since", "n", ...QUANTILES.flatMap((name) => [name, `${name}_low`, `${name}_high`])]), ...points.map((point, bucket) => csvRow([new Date(edges[bucket] ?? 0).toISOString(), point.n, ...QUANTILES.flatMap((name) => [point[name].value, point[name].low, point[name].high])]))].join("\n")}
      {...state}
      empty={total.n === 0 ? "Nothing measured here" : null}
      note={reference ? `Published: p50 ${reference.p50_s} s, p99 ${reference.p99_s} s (${reference.source}).` : null}
      chart={
        <LineChart
          title={span.title}
          edges={edges}
          zone={filter.zone}
          format={(value) => formatValue(value, span.unit)}
          formatEnds={(low, high) => formatEnds(low, high, span.unit)}
          lines={QUANTILES.map((name) => ({ name, points: points.map((point) => ({ ...point[name], note: `n = ${formatCount(point.n)}` })) }))}
          targets={reference ? [{ label: "LWD p50", value: reference.p50_s }] : []}
          {...(span.per === "episode" ? { hrefOf: (bucket: number) => episodesUrl(filter, { since_ms: edges[bucket] ?? 0, until_ms: edges[bucket + 1] ?? 0 }) } : {})}
        />
      }
      table={
        <Table caption={span.title} className="max-h-96" columns={[{ key: "since", label: "From" }, ...QUANTILES.map((name) => ({ key: name, label: name, isNumeric: true })), { key: "n", label: "n", isNumeric: true }]}>
          {points.map((point, bucket) =>
            point.n === 0 ? null : (
              <tr key={edges[bucket]}>
                <Cell>{formatInZone(edges[bucket] ?? 0, filter.zone, "full")}</Cell>
                {QUANTILES.map((name) => (
                  <Cell key={name} isNumeric>
                    {said(point[name], span.unit)}
                  </Cell>
                ))}
                <Cell isNumeric>{formatCount(point.n)}</Cell>
              </tr>
            ),
          )}
        </Table>
      }
    />
  );
}

function BacklogChart({ data, state, filter }: { readonly data: Loop | undefined; readonly state: State; readonly filter: ReportFilter }) {
  const edges = data?.edges_ms ?? [];
  const backlog = data?.backlog ?? [];
  const text = "Episodes that had ended on a robot and were not registered yet, at the end of each bucket, of those registered by now.";
  return (
    <div className="min-w-0 xl:col-span-2">
      <ChartFrame
        title="Upload backlog"
        definitions={[{ term: "Upload backlog", text }]}
        fileName="backlog"
        csv={() => [csvRow(["at", "episodes"]), ...backlog.map((count, bucket) => csvRow([new Date(edges[bucket + 1] ?? 0).toISOString(), count]))].join("\n")}
        {...state}
        note={`In the robots' spools now: ${formatNoun(data?.pending ?? 0, "episode")}.`}
        chart={
          <LineChart
            title="Upload backlog"
            edges={edges}
            zone={filter.zone}
            format={(value) => (Number.isInteger(value) ? formatCount(value) : "")}
            lines={[{ name: "Episodes waiting", points: backlog.map((value) => ({ value, low: null, high: null, note: "a count" })) }]}
          />
        }
        table={
          <Table caption="Upload backlog" className="max-h-96" columns={[{ key: "at", label: "At" }, { key: "count", label: "Episodes", isNumeric: true }]}>
            {backlog.map((count, bucket) => (
              <tr key={edges[bucket]}>
                <Cell>{formatInZone(edges[bucket + 1] ?? 0, filter.zone, "full")}</Cell>
                <Cell isNumeric>{formatCount(count)}</Cell>
              </tr>
            ))}
          </Table>
        }
      />
    </div>
  );
}

function said({ value, low, high }: Quantile, unit: string): string {
  if (value === null) return "–";
  return low === null || high === null ? formatValue(value, unit) : `${formatValue(value, unit)} (${formatEnds(low, high, unit)})`;
}
