/**
 * The uPlot side of a run's charts: several lines over time or steps, the range of thinned points as a band, versions
 * as marks, one cursor for all charts of the page. No React here.
 *
 * Series: x, then for each line its highest, its lowest (the band between them) and its mean (the line).
 */

import uPlot from "uplot";

import type { ChartSpec, LineSpec } from "@/features/training/chart-specs";
import { axisStyle, clockTicks, drawMarks, type PlotMark, resolveColour, spanOver } from "@/components/plot/plot-parts";
import type { RunFrames } from "@/features/training/run-frames";
import { formatTick } from "@/lib/units/format";

export type Axis = "time" | "step";

/** All charts of a page share it, so that one pointer reads all of them at the same moment. */
const CURSOR = "run-cursor";
const SERIES_A_LINE = 3;

interface PlotOptions {
  readonly container: HTMLElement;
  readonly spec: ChartSpec;
  readonly axis: Axis;
  /** Read at every draw, so that new versions need no new plot. */
  readonly marks: () => readonly PlotMark[];
  /** The point under the cursor of any chart, null without. */
  readonly onPoint: (index: number | null) => void;
}

export function toPlotData(frames: RunFrames, spec: ChartSpec, axis: Axis): uPlot.AlignedData {
  const x = axis === "time" ? frames.atMs.map((at) => at / 1000) : [...frames.step];
  const nothing = x.map(() => null);
  const columns = spec.lines.flatMap(({ name }) => {
    const line = frames.lines.get(name);
    return line === undefined ? [nothing, nothing, nothing] : [[...line.high], [...line.low], [...line.mean]];
  });
  return [x, ...columns];
}

export function makeMetricPlot({ container, spec, axis, marks, onPoint }: PlotOptions, data: uPlot.AlignedData): uPlot {
  const colour = (token: string) => resolveColour(container, token);
  const look = axisStyle(container);
  const grid = { stroke: colour("--chart-grid"), width: 1 };
  const mark = colour("--chart-mark");
  const tones = spec.lines.map(({ tone }) => colour(`--series-${tone}`));
  const dot = (ring: boolean) => (_: uPlot, series: number) =>
    series % SERIES_A_LINE !== 0 ? "transparent" : ring ? surface : (tones[series / SERIES_A_LINE - 1] ?? mark);
  const surface = colour("--surface");
  const options: uPlot.Options = {
    width: Math.max(1, container.clientWidth),
    height: Math.max(1, container.clientHeight),
    padding: [16, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      sync: { key: CURSOR },
      points: { size: 8, fill: dot(false), stroke: dot(true), width: 1.5 },
    },
    scales: { x: { time: axis === "time", range: spanOver(0) }, y: { range: rangeOf(spec) } },
    axes: [
      {
        ...look,
        grid: { show: false },
        size: 20,
        space: 70,
        values: (_, ticks) => (axis === "time" ? clockTicks(ticks) : ticks.map(formatTick)),
      },
      { ...look, grid, size: spec.formatTick ? 60 : 46, space: 28, values: (_, ticks) => ticks.map(tickFormat(spec)) },
    ],
    series: [{}, ...spec.lines.flatMap((line, index) => seriesOf(line, tones[index] ?? mark))],
    bands: spec.lines.map((_, index) => ({
      series: [index * SERIES_A_LINE + 1, index * SERIES_A_LINE + 2],
      fill: faint(tones[index] ?? mark, 0.18),
    })),
    hooks: {
      drawClear: [(plot) => drawMarks(plot, marks(), mark, look.stroke)],
      setCursor: [(plot) => onPoint(pointOf(plot))],
    },
  };
  return new uPlot(options, data, container);
}

function seriesOf({ dash, isFilled }: LineSpec, tone: string): uPlot.Series[] {
  const bound: uPlot.Series = { stroke: "transparent", points: { show: false }, spanGaps: true };
  const line: uPlot.Series = {
    stroke: tone,
    width: 1.75,
    spanGaps: true,
    points: { show: (plot) => plot.data[0].length < 2, size: 6, fill: tone },
    ...(dash ? { dash: dash === "dashed" ? [6, 4] : [2, 3] } : {}),
    ...(isFilled ? { fill: faint(tone, 0.22) } : {}),
  };
  return [bound, bound, line];
}

/** `rgb(1, 2, 3)` as getComputedStyle gives it, let through. */
const faint = (colour: string, alpha: number): string => colour.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);

function pointOf({ cursor: { idx, left = -1 } }: uPlot): number | null {
  return typeof idx === "number" && left >= 0 ? idx : null;
}

/** Move the cursor of this chart, and with it of all others, to a point. */
export function showPoint(plot: uPlot, index: number): void {
  moveCursor(plot, plot.valToPos(plot.data[0][index] ?? 0, "x"), 1);
}

export function hidePoint(plot: uPlot): void {
  moveCursor(plot, -10, -10);
}

/** uPlot 1.6.32 takes a third argument that its types leave out: whether the other plots follow. */
type SetCursor = (position: { left: number; top: number }, isHooked: boolean, isPublished: boolean) => void;

function moveCursor(plot: uPlot, left: number, top: number): void {
  const setCursor: SetCursor = plot.setCursor.bind(plot);
  setCursor({ left, top }, true, true);
}

const tickFormat = ({ range, format, formatTick: own }: ChartSpec) => own ?? (range === "share" ? format : formatTick);

function rangeOf({ range }: ChartSpec): uPlot.Scale.Range {
  if (range === "share") return [0, 1];
  return (_, low, high) => {
    if ((low as number | null) === null || (high as number | null) === null) return [0, 1];
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    return range === "zero" ? [Math.min(0, low), high + (high === 0 ? 1 : room)] : [low - room, high + room];
  };
}
