/**
 * Lines of some runs over one counting axis (gradient steps, episodes), each with its own points and, where there is one,
 * its interval. A slider for the keyboard: arrows move along the axis, and the legend reads every line out there.
 */

import { type KeyboardEvent, useState } from "react";

import { colourOf, DASHES } from "@/components/chart/line-chart";
import { spread, valueTicks } from "@/components/chart/scale";
import { useWidth } from "@/components/chart/use-width";

export interface OverlayPoint {
  readonly x: number;
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
}

export interface OverlayLine {
  readonly name: string;
  /** Of rising x. */
  readonly points: readonly OverlayPoint[];
}

interface OverlayChartProps {
  readonly title: string;
  /** What the axis counts: "step". */
  readonly axis: string;
  readonly lines: readonly OverlayLine[];
  readonly format: (value: number) => string;
  readonly top?: number;
}

const HEIGHT = 220;
const LEFT = 56;
const BOTTOM = 22;
const TOP = 10;
const RIGHT = 12;
const STOPS = 40;

export function OverlayChart({ title, axis, lines, format, top }: OverlayChartProps) {
  const [ref, width] = useWidth(480);
  const most = Math.max(1, ...lines.flatMap(({ points }) => points.map(({ x }) => x)));
  const [chosen, setChosen] = useState<number | null>(null);
  const at = chosen ?? STOPS;
  const ticks = valueTicks(top ?? Math.max(0, ...lines.flatMap(({ points }) => points.map(({ value }) => value))));
  const high = top ?? ticks.at(-1) ?? 1;
  const x = (value: number) => LEFT + (value / most) * (width - LEFT - RIGHT);
  const y = (value: number) => TOP + (1 - Math.min(Math.max(value, 0), high) / high) * (HEIGHT - TOP - BOTTOM);
  const place = (most * at) / STOPS;
  const move = (event: KeyboardEvent) => {
    const target = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: STOPS }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(STOPS, target)));
  };
  const said = lines.map((line) => `${line.name} ${reading(line, place, format)}`);
  const where = `${axis} ${Math.round(place).toLocaleString("en-GB")}`;
  return (
    <div ref={ref}>
      <div
        role="slider"
        tabIndex={0}
        aria-label={`${title}, read-out`}
        aria-valuemin={0}
        aria-valuemax={STOPS}
        aria-valuenow={at}
        aria-valuetext={`${where}: ${said.join("; ")}`}
        onKeyDown={move}
        className="rounded-md"
      >
        <svg
          data-chart
          aria-hidden
          width={width}
          height={HEIGHT}
          className="block text-ink"
          onPointerMove={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            const share = (event.clientX - box.left - LEFT) / (width - LEFT - RIGHT);
            setChosen(Math.round(Math.max(0, Math.min(1, share)) * STOPS));
          }}
        >
          {ticks.filter((tick) => tick <= high).map((tick) => (
            <g key={tick}>
              <line x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} stroke="var(--chart-grid)" />
              <text x={LEFT - 6} y={y(tick) + 4} textAnchor="end" fontSize={11} fill="var(--ink-muted)">
                {format(tick)}
              </text>
            </g>
          ))}
          {spread(STOPS + 1, 10).map((stop) => (
            // The last one ends where the chart does: a long number would be cut in its middle.
            <text key={stop} x={stop === STOPS ? width : x((most * stop) / STOPS)} y={HEIGHT - 6} textAnchor={stop === STOPS ? "end" : "middle"} fontSize={11} fill="var(--ink-muted)">
              {Math.round((most * stop) / STOPS).toLocaleString("en-GB")}
            </text>
          ))}
          {lines.map((line, index) => (
            <Shape key={line.name} line={line} index={index} x={x} y={y} />
          ))}
          <line x1={x(place)} x2={x(place)} y1={TOP} y2={HEIGHT - BOTTOM} stroke="var(--line-strong)" />
        </svg>
      </div>
      <p className="numeric mt-1 text-xs text-ink-muted">At {where}</p>
      <ul className="numeric text-xs">
        {lines.map((line, index) => (
          <li key={line.name} className="flex min-w-0 items-center gap-1.5">
            <svg aria-hidden width={22} height={8} className="shrink-0">
              <line x1={0} x2={22} y1={4} y2={4} stroke={colourOf(index)} strokeWidth={2} strokeDasharray={DASHES[index % DASHES.length]} />
            </svg>
            <span>
              {line.name}: {reading(line, place, format)}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface ShapeProps {
  readonly line: OverlayLine;
  readonly index: number;
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
}

function Shape({ line: { points }, index, x, y }: ShapeProps) {
  const banded = points.filter((point) => point.low !== null && point.high !== null);
  const edge = (name: "low" | "high", list: readonly OverlayPoint[]) => list.map((point) => `${x(point.x)},${y(point[name] ?? point.value)}`);
  return (
    <g>
      {banded.length > 1 ? (
        <polygon points={[...edge("high", banded), ...edge("low", banded.toReversed())].join(" ")} fill={colourOf(index)} fillOpacity={0.13} />
      ) : null}
      <polyline
        points={points.map((point) => `${x(point.x)},${y(point.value)}`).join(" ")}
        fill="none"
        stroke={colourOf(index)}
        strokeWidth={2}
        strokeDasharray={DASHES[index % DASHES.length]}
      />
      {points.length <= 20 ? points.map((point) => <circle key={point.x} cx={x(point.x)} cy={y(point.value)} r={2.5} fill={colourOf(index)} />) : null}
    </g>
  );
}

/** The newest point up to a place, in words; a line that has ended says so by its last value. */
export function reading({ points }: OverlayLine, place: number, format: (value: number) => string): string {
  const point = points.findLast(({ x }) => x <= place);
  if (point === undefined) return "–";
  const ends = point.low !== null && point.high !== null ? `, 95 % interval ${format(point.low)}–${format(point.high)}` : "";
  return `${format(point.value)}${ends}`;
}
