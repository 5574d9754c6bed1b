import { describe, expect, it } from "vitest";

import type { RunSeries } from "@/features/training/api/run-series";
import { otherCharts, recapCharts, taskCharts, tasksOf, wantedNames } from "@/features/training/chart-specs";
import { boardCommand } from "@/features/training/components/run-config";
import { hasGap, joinTail, latest, newRows, type RunFrames } from "@/features/training/run-frames";
import { failureAdvice, samplerStory, valueStory, waitVerdict } from "@/features/training/run-words";
import type { RunTail } from "@/lib/socket/run-tail";
import { seconds } from "@/lib/units/quantity";

const line = (...mean: (number | null)[]) => ({ mean, low: mean, high: mean });
const base: RunSeries = {
  width: 1,
  last_step: 200,
  step: [100, 200],
  at_ms: [10_000, 20_000],
  series: [
    { name: "loss", ...line(2, 1) },
    { name: "late", mean: [], low: [], high: [] },
    { name: "never", mean: [], low: [], high: [] },
  ],
};
const tail = (afterStep: number, ...rows: [step: number, atMs: number, values: Record<string, number>][]): RunTail => ({
  runId: "run1",
  afterStep,
  rows: rows.map(([step, at_ms, values]) => ({ step, at_ms, values })),
});

describe("joining what was read with live rows", () => {
  it("appends rows that are newer, and leaves out lines without a value", () => {
    const frames = joinTail(base, tail(100, [200, 20_000, { loss: 1 }], [300, 30_000, { loss: 0.5, late: 7 }]), null);
    expect(frames.step).toEqual([100, 200, 300]);
    expect(frames.lines.get("loss")?.mean).toEqual([2, 1, 0.5]);
    expect(frames.lines.get("late")?.high).toEqual([null, null, 7]);
    expect([...frames.lines.keys()]).toEqual(["loss", "late"]);
    expect([latest(frames, "loss"), latest(frames, "never")]).toEqual([0.5, null]);
  });

  it("waits with rows beyond a gap", () => {
    const beyond = tail(400, [500, 50_000, { loss: 0.1 }]);
    expect(hasGap(base, beyond)).toBe(true);
    expect(joinTail(base, beyond, null).step).toEqual([100, 200]);
    expect([hasGap(base, tail(200)), hasGap(base, null), hasGap({ ...base, last_step: null }, tail(0))]).toEqual([false, false, false]);
  });

  it("lets old points go as the range moves on", () => {
    const frames = joinTail(base, tail(200, [300, 25_000, { loss: 0.5 }]), seconds(10));
    expect(frames.step).toEqual([200, 300]);
    expect(frames.lines.get("loss")?.low).toEqual([1, 0.5]);
  });

  it("keeps time rising where a round was run again", () => {
    const again = { ...base, at_ms: [30_000, 20_000] };
    expect(joinTail(again, null, null).atMs).toEqual([30_000, 30_000]);
  });

  it("counts what came since", () => {
    expect(newRows(200, tail(0, [100, 0, {}], [200, 0, {}], [300, 0, {}])).map(({ step }) => step)).toEqual([300]);
    expect(newRows(null, null)).toEqual([]);
  });
});

const names = ["loss", "loss/box-close/online", "share/box-close/cap", "frames/class/human", "frames/class/policy", "data/new_thing", "recap/positive/box-close", "versions/step"];

describe("charts by name", () => {
  it("finds the tasks, and nothing that only looks like one", () => {
    expect(tasksOf([...names, "window/a/offline"])).toEqual(["a", "box-close"]);
  });

  it("asks for the tasks that are shown first, and never for too much", () => {
    const asked = ["loss", "frames/class/human", "frames/class/policy", "data/new_thing", "recap/positive/box-close"];
    expect(wantedNames(names, [], 128)).toEqual(asked);
    expect(wantedNames(names, ["box-close"], 4)).toEqual([...asked.slice(0, 2), "loss/box-close/online", "share/box-close/cap"]);
  });

  it("draws what it does not know, names of one group together", () => {
    const charts = otherCharts(names, [...taskCharts("box-close"), ...recapCharts(names)]).map(({ title, lines }) => [
      title,
      lines.map(({ label }) => label),
    ]);
    expect(charts).toEqual([
      ["Loss", ["loss"]],
      ["Frames, class", ["human", "policy"]],
      ["Data", ["new thing"]],
    ]);
  });

  it("draws bytes apart from counts, in a unit that fits", () => {
    const [bytes, counts] = otherCharts(["data/cache/bytes", "data/cache/loads", "data/cache/waits"], []);
    expect([bytes?.lines.length, bytes?.format(1_500_000), bytes?.formatTick?.(2e9)]).toEqual([1, "1.5\u00a0MB", "2.0\u00a0GB"]);
    expect(counts?.lines.map(({ label }) => label)).toEqual(["loads", "waits"]);
  });

  it("splits a group that is too large for one chart, without losing a name", () => {
    const many = Array.from({ length: 8 }, (_, index) => `cache/n${index}`);
    expect(otherCharts(many, []).map(({ lines }) => lines.length)).toEqual([6, 2]);
  });

  it("has RECAP's charts only when RECAP reports", () => {
    expect(recapCharts(["loss"])).toEqual([]);
    expect(recapCharts(names).map(({ id }) => id)).toEqual(["recap/positive"]);
  });
});

const plain = (text: string) => text.replaceAll("\u00a0", " ");
const frames = (values: Record<string, number>): RunFrames => ({
  step: [100],
  atMs: [1],
  lines: new Map(Object.entries(values).map(([name, value]) => [name, line(value)])),
});
const sampler = (raw: number, clipped: number, cap: number) =>
  frames({
    "share/t/raw": raw,
    "share/t/clipped": clipped,
    "share/t/cap": cap,
    "window/t/online": 0.14,
    "window/t/offline": 0.09,
    "frames/t/online": 10,
    "frames/t/offline": 10,
  });

describe("a run in words", () => {
  it.each([
    [sampler(0.71, 0.62, 0.62), "62 % of this task's training comes from the fleet, 38 % from demonstrations. The rule asked for 71 % (error 0.140 on the fleet's work, 0.0900 on demonstrations); the cap holds it until more has been recorded."],
    [sampler(0.1, 0.2, 0.8), "20 % of this task's training comes from the fleet, 80 % from demonstrations. The rule asked for 10 % (error 0.140 on the fleet's work, 0.0900 on demonstrations); the floor keeps some of the fleet's work in."],
    [sampler(0.5, 0.5, 0.8), "50 % of this task's training comes from the fleet, 50 % from demonstrations. That is what the rule asked for (error 0.140 on the fleet's work, 0.0900 on demonstrations)."],
    [frames({ "share/t/clipped": 0, "frames/t/online": 0 }), "Nothing of the fleet yet: all of this task's training comes from demonstrations."],
    [frames({ "share/t/clipped": 1, "frames/t/offline": 0 }), "There are no demonstrations: all of this task's training comes from the fleet."],
    [frames({}), ""],
  ])("says why the sampler draws as it does (%#)", (given, text) => {
    expect(plain(samplerStory(given, "t", {}))).toBe(text);
  });

  it("does not tell of the rule when the run uses another", () => {
    expect(plain(samplerStory(sampler(0.7, 0.5, 0.8), "t", { sampler: { strategy: "fixed" } }))).toContain("The share is fixed for this run.");
  });

  it("judges waiting, value functions and failures", () => {
    expect([0.02, 0.05, 0.2].map((wait) => waitVerdict(wait).isFine)).toEqual([true, false, false]);
    const value = (error: number) => valueStory(frames({ "recap/value/error": error, "recap/value/spread": 0.2 }));
    expect(plain(value(0.1))).toContain("50 % of what the best constant errs: it tells good steps from bad ones");
    expect(value(0.2)).toContain("of no use yet");
    expect(valueStory(frames({}))).toBe("");
    expect(failureAdvice("non_finite_loss")).toContain("learning rate");
    expect(failureAdvice("something new")).toContain("log");
  });

  it("names the TensorBoard folder as the learner does", () => {
    expect(boardCommand("demo")).toBe('tensorboard --logdir "var/tensorboard/demo"');
    expect(boardCommand("my run/v1.2")).toBe('tensorboard --logdir "var/tensorboard/my run%2Fv1%2E2"');
  });
});
