/**
 * Lines over buckets of time, each with its 95 % band, targets across and marks on top. SVG, so that it prints, saves and
 * is tested as it is; a few hundred points are its measure. Live runs of thousands are drawn by uPlot (components/plot).
 */

import { type KeyboardEvent, type PointerEvent, useState } from "react";
import { Link } from "react-router";

import { spread, timeShape, valueTicks } from "@/components/chart/scale";
import { useWidth } from "@/components/chart/use-width";
import { formatInZone } from "@/lib/time-zone";

export interface LinePoint {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** What the value is made of, as read out: "n = 12". */
  readonly note: string;
}

export interface Line {
  readonly name: string;
  readonly points: readonly LinePoint[];
}

interface LineChartProps {
  readonly title: string;
  /** Ends of the buckets, in Unix ms: one more than points. */
  readonly edges: readonly number[];
  readonly lines: readonly Line[];
  readonly zone: string;
  readonly format: (value: number) => string;
  /** Both ends of an interval; without it each by `format`. */
  readonly formatEnds?: (low: number, high: number) => string;
  /** Where the axis ends; else as high as the data. */
  readonly top?: number;
  readonly targets?: readonly { readonly label: string; readonly value: number }[];
  readonly marks?: readonly { readonly at: number; readonly label: string }[];
  /** The episodes behind a bucket. */
  readonly hrefOf?: (bucket: number) => string;
}

const HEIGHT = 240;
const LEFT = 52;
const BOTTOM = 22;
const TOP = 16;
const RIGHT = 10;
const MARKS = 60; // more would be a bar
export const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 4", "1 4"] as const;
export const colourOf = (index: number) => `var(--series-${(index % 6) + 1})`;

export function LineChart(props: LineChartProps) {
  const { title, edges, lines, zone, format, targets = [], marks = [], hrefOf } = props;
  const formatEnds = props.formatEnds ?? ((low, high) => `${format(low)}–${format(high)}`);
  const [ref, width] = useWidth(640);
  const buckets = edges.length - 1;
  const newest = lines[0]?.points.findLastIndex((_, index) => lines.some((line) => line.points[index]?.value != null)) ?? -1;
  const [chosen, setChosen] = useState<number | null>(null);
  const at = Math.min(chosen ?? Math.max(0, newest), buckets - 1);
  const first = edges[0] ?? 0;
  const last = edges.at(-1) ?? 1;
  const ticks = valueTicks(props.top ?? highest(lines, targets));
  const high = props.top ?? ticks.at(-1) ?? 1;
  const x = (time: number) => LEFT + ((time - first) / (last - first)) * (width - LEFT - RIGHT);
  const y = (value: number) => TOP + (1 - Math.min(value, high) / high) * (HEIGHT - TOP - BOTTOM);
  const middle = (bucket: number) => ((edges[bucket] ?? 0) + (edges[bucket + 1] ?? 0)) / 2;
  const shape = timeShape(edges);
  const bucketName = (bucket: number) =>
    `${formatInZone(edges[bucket] ?? 0, zone, "full")} to ${formatInZone(edges[bucket + 1] ?? 0, zone, "full")}`;
  const move = (event: KeyboardEvent) => {
    const target = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buckets - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(buckets - 1, target)));
  };
  const point = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const time = first + ((event.clientX - box.left - LEFT) / (width - LEFT - RIGHT)) * (last - first);
    const bucket = edges.findIndex((edge, index) => index > 0 && time < edge) - 1;
    setChosen(bucket < 0 ? (time < first ? 0 : buckets - 1) : bucket);
  };
  const read = lines.map((line) => `${line.name} ${said(line.points[at], format, formatEnds)}`);
  return (
    <div ref={ref}>
      <div
        role="slider"
        tabIndex={0}
        aria-label={`${title}, read-out`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, buckets - 1)}
        aria-valuenow={at}
        aria-valuetext={`${bucketName(at)}: ${read.join("; ")}`}
        onKeyDown={move}
        className="rounded-md"
      >
        <svg data-chart aria-hidden width={width} height={HEIGHT} onPointerMove={point} className="block text-ink">
          {ticks.filter((tick) => tick <= high).map((tick) => (
            <g key={tick}>
              <line x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} stroke="var(--chart-grid)" />
              <text x={LEFT - 6} y={y(tick) + 4} textAnchor="end" fontSize={11} fill="var(--ink-muted)">
                {format(tick)}
              </text>
            </g>
          ))}
          {spread(buckets, Math.max(2, Math.floor(width / 110))).map((bucket) => (
            <text key={bucket} x={x(edges[bucket] ?? 0)} y={HEIGHT - 6} fontSize={11} fill="var(--ink-muted)">
              {formatInZone(edges[bucket] ?? 0, zone, shape)}
            </text>
          ))}
          {spread(marks.length, MARKS).flatMap((place) => marks[place] ?? []).map((mark) => (
            <line key={`${mark.at} ${mark.label}`} x1={x(mark.at)} x2={x(mark.at)} y1={TOP - 8} y2={TOP - 2} stroke="var(--chart-mark)">
              <title>{mark.label}</title>
            </line>
          ))}
          {targets.map((target) => (
            <g key={target.label}>
              <line x1={LEFT} x2={width - RIGHT} y1={y(target.value)} y2={y(target.value)} stroke="var(--ink-muted)" strokeDasharray="2 4" strokeWidth={1.5} />
              <text x={LEFT + 4} y={y(target.value) - 4} fontSize={11} fill="var(--ink-muted)">
                {target.label}
              </text>
            </g>
          ))}
          {lines.map((line, index) => (
            <LineShape key={line.name} line={line} index={index} x={(bucket) => x(middle(bucket))} y={y} />
          ))}
          <line x1={x(middle(at))} x2={x(middle(at))} y1={TOP} y2={HEIGHT - BOTTOM} stroke="var(--line-strong)" />
        </svg>
      </div>
      <div className="numeric mt-1 text-xs">
        <div className="flex min-h-5 flex-wrap items-baseline justify-between gap-x-3">
          <span className="text-ink-muted">{bucketName(at)}</span>
          {hrefOf ? (
            <Link to={hrefOf(at)} className="text-link underline">
              Episodes of this point
            </Link>
          ) : null}
        </div>
        <ul className="grid gap-x-4">
          {lines.map((line, index) => (
            <li key={line.name} className="flex min-w-0 items-center gap-1.5">
              <svg aria-hidden width={22} height={8} className="shrink-0">
                <line x1={0} x2={22} y1={4} y2={4} stroke={colourOf(index)} strokeWidth={2} strokeDasharray={DASHES[index % DASHES.length]} />
              </svg>
              <span>
                {line.name}: {said(line.points[at], format, formatEnds)}
              </span>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

function LineShape({ line, index, x, y }: { readonly line: Line; readonly index: number; readonly x: (bucket: number) => number; readonly y: (value: number) => number }) {
  const colour = colourOf(index);
  const places = line.points.flatMap((point, bucket) => (point.value === null ? [] : [bucket]));
  const at = (bucket: number, name: "value" | "low" | "high") => y(line.points[bucket]?.[name] ?? line.points[bucket]?.value ?? 0);
  const band = (run: readonly number[]) =>
    `M${run.map((bucket) => `${x(bucket)},${at(bucket, "high")}`).join("L")}L${run.toReversed().map((bucket) => `${x(bucket)},${at(bucket, "low")}`).join("L")}Z`;
  return (
    <g>
      {runsOf(places).map((run) =>
        run.length === 1 ? (
          <line key={run[0]} x1={x(run[0] ?? 0)} x2={x(run[0] ?? 0)} y1={at(run[0] ?? 0, "low")} y2={at(run[0] ?? 0, "high")} stroke={colour} strokeOpacity={0.5} strokeWidth={2} />
        ) : (
          <g key={run[0]}>
            <path d={band(run)} fill={colour} fillOpacity={0.13} />
            <path d={`M${run.map((bucket) => `${x(bucket)},${at(bucket, "value")}`).join("L")}`} fill="none" stroke={colour} strokeWidth={2} strokeDasharray={DASHES[index % DASHES.length]} />
          </g>
        ),
      )}
      {places.length <= 80 ? places.map((bucket) => <circle key={bucket} cx={x(bucket)} cy={at(bucket, "value")} r={2.5} fill={colour} />) : null}
    </g>
  );
}

/** Neighbouring places together: a line never crosses a bucket without a value. */
export function runsOf(places: readonly number[]): readonly (readonly number[])[] {
  const runs: number[][] = [];
  for (const place of places) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1) === place - 1) run.push(place);
    else runs.push([place]);
  }
  return runs;
}

function said(
  point: LinePoint | undefined,
  format: (value: number) => string,
  formatEnds: (low: number, high: number) => string,
): string {
  if (point?.value == null) return point?.note ? `– (${point.note})` : "–";
  const ends = point.low !== null && point.high !== null ? `95 % interval ${formatEnds(point.low, point.high)}, ` : "";
  return `${format(point.value)} (${ends}${point.note})`;
}

/** The largest value with the ends of its interval, unless those are far out, as of a bucket with one event. */
function highest(lines: readonly Line[], targets: readonly { readonly value: number }[]): number {
  const points = lines.flatMap((line) => line.points);
  const values = points.flatMap(({ value }) => (value === null ? [] : [value]));
  const most = Math.max(0, ...values, ...targets.map(({ value }) => value));
  const ends = points.flatMap(({ high }) => (high === null ? [] : [high]));
  return Math.min(Math.max(most, ...ends), most * 2) || 1;
}
