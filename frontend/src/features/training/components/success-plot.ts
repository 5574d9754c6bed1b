/**
 * The uPlot side of the success chart: options, colours, version marks. No React here.
 *
 * Series: time (s), upper and lower bound (the band between them), rate (the line). uPlot draws on a canvas, so
 * colours are resolved when the plot is made and the plot is made anew for a new theme.
 */

import uPlot from "uplot";

import type { SuccessPoint, VersionMark } from "@/features/training/api/success";
import { axisStyle, clockTicks, drawMarks, resolveColour, spanOver } from "@/components/plot/plot-parts";

const RATE_SERIES = 3;

export interface Hover {
  readonly index: number;
  /** Of the point, CSS px within the container; `isRight` if it lies in the right half. */
  readonly left: number;
  readonly isRight: boolean;
}

interface PlotOptions {
  readonly container: HTMLElement;
  /** Read at every draw, so that new versions need no new plot. */
  readonly versions: () => readonly VersionMark[];
  readonly onHover: (hover: Hover | null) => void;
}

export function toData(points: readonly SuccessPoint[]): uPlot.AlignedData {
  return [
    points.map((point) => point.at_ms / 1000),
    points.map((point) => point.high),
    points.map((point) => point.low),
    points.map((point) => point.rate),
  ];
}

export function makePlot({ container, versions, onHover }: PlotOptions, data: uPlot.AlignedData): uPlot {
  const colour = (token: string) => resolveColour(container, token);
  const axis = axisStyle(container);
  const grid = { stroke: colour("--chart-grid"), width: 1 };
  const line = colour("--chart");
  const options: uPlot.Options = {
    width: Math.max(1, container.clientWidth),
    height: container.clientHeight,
    padding: [18, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: onRate(line), stroke: onRate(colour("--surface")), width: 2 } },
    scales: { x: { time: true, range: spanOver(60) }, y: { range: [0, 1] } },
    axes: [
      { ...axis, grid: { show: false }, size: 22, space: 64, values: (_, ticks) => clockTicks(ticks) },
      { ...axis, grid, size: 44, splits: () => [0, 0.25, 0.5, 0.75, 1], values: (_, ticks) => ticks.map((tick) => `${tick * 100} %`) },
    ],
    series: [
      {},
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
      { stroke: line, width: 2, points: { show: isLone, size: 6, fill: line } },
    ],
    bands: [{ series: [1, 2], fill: colour("--chart-band") }],
    hooks: {
      drawClear: [(plot) => drawMarks(plot, versions().map(toMark), colour("--chart-mark"), axis.stroke)],
      setCursor: [(plot) => onHover(hoverOf(plot))],
    },
  };
  return new uPlot(options, data, container);
}

/** The bounds of the band have no dots under the pointer, the rate has. */
const onRate = (colour: string) => (_: uPlot, series: number) => (series === RATE_SERIES ? colour : "transparent");

function hoverOf(plot: uPlot): Hover | null {
  const { idx: index, left = -1 } = plot.cursor;
  if (typeof index !== "number" || left < 0) return null;
  const inPlot = plot.valToPos(plot.data[0][index] ?? 0, "x");
  return { index, left: inPlot + plot.bbox.left / devicePixelRatio, isRight: inPlot > plot.over.clientWidth / 2 };
}

/** A line needs two points; a lone one is drawn as a dot. */
const isLone = (plot: uPlot): boolean => plot.data[0].length < 2;

const toMark = ({ number, published_ms }: VersionMark) => ({ x: published_ms / 1000, label: `v${number}` });
