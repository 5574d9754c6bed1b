/** What every plot draws alike: colours from tokens, clock ticks, marks of policy versions. */

import type uPlot from "uplot";

const LABEL_GAP_PX = 34;

/** `x` in the unit of the plot's axis. */
export interface PlotMark {
  readonly x: number;
  readonly label: string;
}

/** uPlot draws on a canvas, which cannot read CSS variables: what a token is in the theme that is seen now. */
export function resolveColour(container: HTMLElement, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  container.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** The axes' common look. */
export function axisStyle(container: HTMLElement) {
  const font = `11px ${getComputedStyle(container).fontFamily}`;
  return { stroke: resolveColour(container, "--ink-muted"), font, ticks: { show: false } };
}

/**
 * The range of a horizontal axis: what the points span, or the 60 before the newest where that is no more than `least`.
 * A lone point spans nothing, though uPlot gives one on a time axis a range of years.
 */
export function spanOver(least: number) {
  return ({ data }: Pick<uPlot, "data">, low: number | null, high: number | null): uPlot.Range.MinMax => {
    if (low === null || high === null) return [null, null];
    const end = data[0].length < 2 ? low : high;
    return end - low > least ? [low, end] : [end - 60, end];
  };
}

/** Times of day for ticks in seconds; with the day where the ticks span more than one. */
export function clockTicks(ticks: readonly number[]): string[] {
  const hasSeconds = ticks.some((tick) => tick % 60 !== 0);
  const isOverDays = ticks.length > 1 && (ticks.at(-1) ?? 0) - (ticks[0] ?? 0) > 86_400;
  const format = new Intl.DateTimeFormat("en-GB", {
    ...(isOverDays ? { day: "numeric", month: "short" } : {}),
    hour: "2-digit",
    minute: "2-digit",
    ...(hasSeconds && !isOverDays ? { second: "2-digit" } : {}),
  });
  return ticks.map((tick) => format.format(new Date(tick * 1000)));
}

/** A tick on top at each mark; with its label and a line down wherever there is room. */
export function drawMarks(plot: uPlot, marks: readonly PlotMark[], colour: string, ink: string): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const inView = marks
    .map(({ x, label }) => ({ label, x: plot.valToPos(x, "x", true) }))
    .filter(({ x }) => x >= bbox.left && x <= bbox.left + bbox.width)
    .sort((a, b) => b.x - a.x);
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = ink;
  ctx.lineWidth = ratio;
  ctx.font = `${10 * ratio}px ${getComputedStyle(plot.root).fontFamily}`;
  ctx.textAlign = "center";
  let nextLabel = Infinity; // from the right: the newest version always has its number
  for (const { label, x } of inView) {
    stroke(ctx, x, bbox.top - 4 * ratio, bbox.top + 2 * ratio);
    if (x > nextLabel) continue;
    ctx.setLineDash([2 * ratio, 4 * ratio]);
    stroke(ctx, x, bbox.top + 2 * ratio, bbox.top + bbox.height);
    ctx.setLineDash([]);
    ctx.fillText(label, Math.min(x, bbox.left + bbox.width - 8 * ratio), bbox.top - 7 * ratio);
    nextLabel = x - LABEL_GAP_PX * ratio;
  }
  ctx.restore();
}

function stroke(ctx: CanvasRenderingContext2D, x: number, top: number, bottom: number): void {
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, bottom);
  ctx.stroke();
}
