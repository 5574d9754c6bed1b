/** Round ticks for the axes of charts. Pure. */

/** At most `count` + 1 round values from 0 (or the lowest) that reach over `high`. */
export function valueTicks(high: number, count = 4): readonly number[] {
  if (!(high > 0)) return [0, 1];
  const rough = high / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * size >= rough) ?? 10) * size;
  const ticks: number[] = [];
  for (let index = 0; ; index += 1) {
    ticks.push(Number((index * step).toPrecision(12)));
    if (index * step >= high) return ticks;
  }
}

/** At most `count` of the places 0..n-1, evenly spread. */
export function spread(n: number, count: number): readonly number[] {
  const step = Math.max(1, Math.ceil(n / count));
  return Array.from({ length: Math.ceil(n / step) }, (_, index) => index * step);
}

/** Which form a time on the axis has: the length of a bucket tells. */
export function timeShape(edges: readonly number[]): "time" | "moment" | "day" | "month" {
  const whole = (edges.at(-1) ?? 0) - (edges[0] ?? 0);
  const hours = whole / 3_600_000;
  if (hours <= 25) return "time";
  if (hours <= 24 * 10) return "moment";
  return hours <= 24 * 400 ? "day" : "month";
}
