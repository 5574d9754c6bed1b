/**
 * One chart of a run: what it shows, a legend that is its read-out, the plot or its table.
 *
 * The read-out stands in the note and the legend and not beside the pointer, so nothing covers the lines and nothing
 * moves. The plot is a slider for the keyboard and for screen readers: arrows step through the points of all charts at once.
 */

import "uplot/dist/uPlot.min.css";

import { type KeyboardEvent, memo, useEffect, useId, useRef, useState } from "react";
import type uPlot from "uplot";

import { Cell, Table } from "@/components/ui/table";
import type { ChartSpec, LineSpec } from "@/features/training/chart-specs";
import { type Axis, hidePoint, makeMetricPlot, showPoint, toPlotData } from "@/features/training/components/metric-plot";
import type { PlotMark } from "@/components/plot/plot-parts";
import type { FrameLine, RunFrames } from "@/features/training/run-frames";
import { useSeenTheme } from "@/hooks/use-theme";
import { formatClock, formatCount } from "@/lib/units/format";

const ROWS = 40;
const PAGE = 10;

interface MetricChartProps {
  readonly spec: ChartSpec;
  /** Whose chart it is, for those who do not see where it stands: "box-close". */
  readonly subject?: string;
  readonly frames: RunFrames;
  readonly marks: readonly PlotMark[];
  readonly axis: Axis;
  readonly form: "chart" | "table";
}

export const MetricChart = memo(function MetricChart({ spec, subject, frames, marks, axis, form }: MetricChartProps) {
  const id = useId();
  const [point, setPoint] = useState<number | null>(null);
  const name = subject === undefined ? spec.title : `${spec.title}, ${subject}`;
  return (
    <figure aria-labelledby={id} className="min-w-0">
      <figcaption>
        <h3 id={id} className="truncate text-sm font-medium">
          {spec.title}
          {subject === undefined ? null : <span className="sr-only">, {subject}</span>}
        </h3>
        <p className="numeric label h-8 overflow-hidden">{point === null ? spec.note : `At ${moment(frames, point)}`}</p>
        <Legend spec={spec} frames={frames} point={point} />
      </figcaption>
      <div className={form === "table" ? "h-56" : "h-36"}>
        {form === "table" ? (
          <MetricTable name={name} spec={spec} frames={frames} />
        ) : (
          <MetricPlot name={name} spec={spec} frames={frames} marks={marks} axis={axis} point={point} onPoint={setPoint} />
        )}
      </div>
    </figure>
  );
});

interface LegendProps {
  readonly spec: ChartSpec;
  readonly frames: RunFrames;
  readonly point: number | null;
}

/** Values at the cursor, else the newest. */
function Legend({ spec, frames, point }: LegendProps) {
  return (
    <dl className="flex min-h-5 flex-wrap gap-x-3 text-xs">
      {spec.lines.map((line) => (
        <div key={line.name} className="flex min-w-0 items-center gap-1.5">
          <dt className="flex min-w-0 items-center gap-1.5 text-ink-muted">
            <Swatch line={line} />
            <span className="truncate">{line.label}</span>
          </dt>
          <dd className="numeric font-medium whitespace-nowrap">{valueText(spec, frames.lines.get(line.name), point)}</dd>
        </div>
      ))}
    </dl>
  );
}

const DASHES = { dashed: "5 3", dotted: "1.5 2.5" } as const;

function Swatch({ line }: { readonly line: LineSpec }) {
  const dash = line.dash === undefined ? undefined : DASHES[line.dash];
  return (
    <svg aria-hidden viewBox="0 0 16 8" className="h-2 w-4 shrink-0">
      <line x1="0" x2="16" y1="4" y2="4" strokeWidth="2" stroke={`var(--series-${line.tone})`} strokeDasharray={dash} />
    </svg>
  );
}

interface MetricPlotProps {
  readonly name: string;
  readonly spec: ChartSpec;
  readonly frames: RunFrames;
  readonly marks: readonly PlotMark[];
  readonly axis: Axis;
  readonly point: number | null;
  readonly onPoint: (point: number | null) => void;
}

function MetricPlot({ name, spec, frames, marks, axis, point, onPoint }: MetricPlotProps) {
  const ref = useRef<HTMLDivElement>(null);
  const plotRef = useRef<uPlot | null>(null);
  const now = useRef({ frames, marks });
  const theme = useSeenTheme();

  useEffect(() => {
    const container = ref.current;
    if (container === null) return;
    const options = { container, spec, axis, marks: () => now.current.marks, onPoint };
    const plot = makeMetricPlot(options, toPlotData(now.current.frames, spec, axis));
    plotRef.current = plot;
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = container;
      if (width > 0) plot.setSize({ width, height });
    });
    observer.observe(container);
    return () => {
      observer.disconnect();
      plot.destroy();
      plotRef.current = null;
      onPoint(null);
    };
  }, [theme, spec, axis, onPoint]);

  useEffect(() => {
    if (now.current.frames === frames && now.current.marks === marks) return;
    now.current = { frames, marks };
    plotRef.current?.setData(toPlotData(frames, spec, axis));
  }, [frames, marks, spec, axis]);

  const last = Math.max(0, frames.step.length - 1);
  const move = (event: KeyboardEvent) => {
    const plot = plotRef.current;
    if (plot === null) return;
    if (event.key === "Escape") {
      hidePoint(plot);
      return;
    }
    const at = point ?? last;
    const targets: Readonly<Record<string, number>> = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      PageDown: at - PAGE,
      PageUp: at + PAGE,
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    showPoint(plot, Math.min(last, Math.max(0, target)));
  };
  const at = Math.min(last, point ?? last);
  return (
    <div
      ref={ref}
      role="slider"
      tabIndex={0}
      aria-label={`${name}, read-out`}
      aria-valuemin={0}
      aria-valuemax={last}
      aria-valuenow={at}
      aria-valuetext={reading(spec, frames, at)}
      onKeyDown={move}
      className="h-full rounded-sm"
    />
  );
}

const moment = ({ step, atMs }: RunFrames, point: number): string =>
  step[point] === undefined ? "" : `step ${formatCount(step[point])}, ${formatClock(atMs[point] ?? 0)}`;

function reading(spec: ChartSpec, frames: RunFrames, point: number): string {
  const values = spec.lines.map((line) => `${line.label} ${valueText(spec, frames.lines.get(line.name), point)}`);
  return `${moment(frames, point)}: ${values.join("; ")}`;
}

function valueText({ format }: ChartSpec, line: FrameLine | undefined, point: number | null): string {
  const value = point === null ? line?.mean.findLast((each) => each !== null) : line?.mean[point];
  return value === null || value === undefined ? "–" : format(value);
}

function MetricTable({ name, spec, frames }: { readonly name: string; readonly spec: ChartSpec; readonly frames: RunFrames }) {
  const columns = [
    { key: "time", label: "Time" },
    { key: "step", label: "Step", isNumeric: true },
    ...spec.lines.map((line) => ({ key: line.name, label: line.label, isNumeric: true })),
  ];
  const every = Math.max(1, Math.ceil(frames.step.length / ROWS));
  const points = frames.step.map((_, index) => index).filter((index) => (frames.step.length - 1 - index) % every === 0);
  return (
    <Table caption={name} columns={columns} className="h-full">
      {points.toReversed().map((point) => (
        <tr key={frames.step[point]}>
          <Cell className="numeric">{formatClock(frames.atMs[point] ?? 0)}</Cell>
          <Cell isNumeric>{formatCount(frames.step[point] ?? 0)}</Cell>
          {spec.lines.map((line) => (
            <Cell key={line.name} isNumeric>
              {valueText(spec, frames.lines.get(line.name), point)}
            </Cell>
          ))}
        </tr>
      ))}
    </Table>
  );
}
