/** The chart's data as CSV. The definition travels along as comments, since numbers without it mislead. */

import type { SuccessSeries } from "@/features/training/api/success";

export function successCsv(series: SuccessSeries, task: string): string {
  const head = [
    `# ${series.definition.replaceAll("\n", " ")}`,
    `# task: ${task || "all"}; sliding window: ${series.window_s} s; Wilson interval at ${series.confidence}`,
    "time,successes,n,rate,low,high",
  ];
  const rows = series.points.map(({ at_ms, successes, n, rate, low, high }) =>
    [new Date(at_ms).toISOString(), successes, n, rate ?? "", low ?? "", high ?? ""].join(","),
  );
  return [...head, ...rows, ""].join("\n");
}
