/**
 * The uPlot side of the success chart: options, colours, version marks. No React here.
 *
 * Series: time (s), upper and lower bound (the band between them), rate (the line). uPlot draws on a canvas, which
 * cannot read CSS variables, so colours are resolved when the plot is made and the plot is made anew for a new theme.
 */

import uPlot from "uplot";

import type { SuccessPoint, VersionMark } from "@/features/training/api/success";

const LABEL_GAP_PX = 34;
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
  const ink = colour("--ink-muted");
  const axis = { stroke: ink, font: `11px ${getComputedStyle(container).fontFamily}`, ticks: { show: false } };
  const grid = { stroke: colour("--chart-grid"), width: 1 };
  const line = colour("--chart");
  const options: uPlot.Options = {
    width: Math.max(1, container.clientWidth),
    height: container.clientHeight,
    padding: [18, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: onRate(line), stroke: onRate(colour("--surface")), width: 2 } },
    scales: { x: { time: true, range: spread }, y: { range: [0, 1] } },
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
      drawClear: [(plot) => drawVersions(plot, versions(), colour("--chart-mark"), ink)],
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

/** A lone point has no extent: show the minute around it. */
function spread(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === null || high === null) return [null, null];
  return high - low < 60 ? [high - 60, high] : [low, high];
}

function resolveColour(container: HTMLElement, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  container.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function clockTicks(ticks: readonly number[]): string[] {
  const hasSeconds = ticks.some((tick) => tick % 60 !== 0);
  const format = new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(hasSeconds ? { second: "2-digit" } : {}),
  });
  return ticks.map((tick) => format.format(new Date(tick * 1000)));
}

/** A tick on top where each version was published; with its number and a line down wherever there is room. */
function drawVersions(plot: uPlot, versions: readonly VersionMark[], mark: string, ink: string): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const inView = versions
    .map((version) => ({ version, x: plot.valToPos(version.published_ms / 1000, "x", true) }))
    .filter(({ x }) => x >= bbox.left && x <= bbox.left + bbox.width)
    .sort((a, b) => b.x - a.x);
  ctx.save();
  ctx.strokeStyle = mark;
  ctx.fillStyle = ink;
  ctx.lineWidth = ratio;
  ctx.font = `${10 * ratio}px ${getComputedStyle(plot.root).fontFamily}`;
  ctx.textAlign = "center";
  let nextLabel = Infinity; // from the right: the newest version always has its number
  for (const { version, x } of inView) {
    const isLabelled = x <= nextLabel;
    stroke(ctx, x, bbox.top - 4 * ratio, bbox.top + 2 * ratio);
    if (isLabelled) {
      ctx.setLineDash([2 * ratio, 4 * ratio]);
      stroke(ctx, x, bbox.top + 2 * ratio, bbox.top + bbox.height);
      ctx.setLineDash([]);
      const right = bbox.left + bbox.width - 8 * ratio;
      ctx.fillText(`v${version.number}`, Math.min(x, right), bbox.top - 7 * ratio);
      nextLabel = x - LABEL_GAP_PX * ratio;
    }
  }
  ctx.restore();
}

function stroke(ctx: CanvasRenderingContext2D, x: number, top: number, bottom: number): void {
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, bottom);
  ctx.stroke();
}
