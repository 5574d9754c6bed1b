import { describe, expect, it } from "vitest";

import { extendTail, lastStep, type RunTail } from "@/lib/socket/run-tail";
import type { RunRows } from "@/protocol/generated";

const frame = (after: number, ...steps: number[]): RunRows => ({
  type: "run_rows",
  server_ms: 0,
  run_id: "run1",
  after_step: after,
  rows: steps.map((step) => ({ step, at_ms: step, values: { loss: step } })),
});
const steps = (tail: RunTail) => tail.rows.map(({ step }) => step);

describe("tail of a run", () => {
  it("begins after the row that the server names", () => {
    const tail = extendTail(null, frame(100));
    expect([tail.afterStep, steps(tail), lastStep(tail)]).toEqual([100, [], 100]);
  });

  it("grows, and takes no row twice", () => {
    const tail = extendTail(extendTail(extendTail(null, frame(0)), frame(0, 100, 200)), frame(100, 200, 300));
    expect([tail.afterStep, steps(tail)]).toEqual([0, [100, 200, 300]]);
  });

  it("starts anew after a gap, and for another run", () => {
    const tail = extendTail(null, frame(0, 100));
    const later = extendTail(tail, frame(300, 400));
    expect([later.afterStep, steps(later)]).toEqual([300, [400]]);
    const other = extendTail(tail, { ...frame(100, 200), run_id: "run2" });
    expect([other.runId, steps(other)]).toEqual(["run2", [200]]);
  });

  it("keeps a bounded number of rows and says where they begin", () => {
    let tail = extendTail(null, frame(0));
    for (let step = 1; step <= 700; step += 1) tail = extendTail(tail, frame(step - 1, step));
    expect([tail.rows.length, tail.afterStep, lastStep(tail)]).toEqual([600, 100, 700]);
  });
});
