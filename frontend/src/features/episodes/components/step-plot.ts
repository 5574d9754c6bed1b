/** The uPlot side of an episode's charts: lines over steps and the playhead. No React here. */

import uPlot from "uplot";

import { axisStyle, resolveColour } from "@/components/plot/plot-parts";
import type { StepChart } from "@/features/episodes/step-lines";
import { formatTick } from "@/lib/units/format";

interface StepPlotOptions {
  readonly container: HTMLElement;
  readonly chart: StepChart;
  readonly frames: readonly number[];
  /** Read at every draw; call `redraw(false)` when it has moved. */
  readonly frame: () => number;
  readonly onFrame: (frame: number) => void;
}

export function makeStepPlot({ container, chart, frames, frame, onFrame }: StepPlotOptions): uPlot {
  const colour = (token: string) => resolveColour(container, token);
  const look = axisStyle(container);
  const ink = colour("--ink");
  const options: uPlot.Options = {
    width: Math.max(1, container.clientWidth),
    height: Math.max(1, container.clientHeight),
    padding: [6, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: false }, y: { range: spread } },
    axes: [
      { ...look, grid: { show: false }, size: 20, space: 70, values: (_, ticks) => ticks.map(formatTick) },
      { ...look, grid: { stroke: colour("--chart-grid"), width: 1 }, size: 46, space: 28, values: (_, ticks) => ticks.map(formatTick) },
    ],
    series: [
      {},
      ...chart.lines.map(({ tone, dash }) => ({
        stroke: colour(`--series-${tone}`),
        width: 1.5,
        points: { show: false },
        ...(dash === undefined ? {} : { dash: [...dash] }),
      })),
    ],
    hooks: { draw: [(plot) => drawPlayhead(plot, frame(), ink)] },
  };
  const plot = new uPlot(options, [[...frames], ...chart.lines.map(({ values }) => [...values])], container);
  plot.over.addEventListener("click", (event) => onFrame(plot.posToVal(event.offsetX, "x")));
  return plot;
}

function drawPlayhead(plot: uPlot, frame: number, ink: string): void {
  const { ctx, bbox } = plot;
  const x = Math.round(plot.valToPos(frame, "x", true));
  ctx.save();
  ctx.strokeStyle = ink;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([]); // the last line's is still set
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

/** A little room above and below; a line that never moves has some, too. */
function spread(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - room, high + room];
}
