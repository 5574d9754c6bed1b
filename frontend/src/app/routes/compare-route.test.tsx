import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { pairOf, placeIn } from "@/features/episodes/episode-pair";
import { counts, episode, episodeDetail } from "@/testing/episode-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";

// jsdom has no canvas and plays nothing; what is drawn and played is looked at in a browser.
vi.mock("uplot", () => ({
  default: class {
    over = document.createElement("div");
    setSize() {}
    redraw() {}
    destroy() {}
  },
}));

const frames = (count: number, value = 0) => Array.from({ length: count }, (_, frame) => value * frame);
const stepsOf = (count: number, value: number, success: number) => ({
  stride: 1,
  frame: frames(count, 1),
  asked: [frames(count)],
  applied: [frames(count, value)],
  proposed: [frames(count)],
  reward: frames(count),
  success: frames(count, 1).map((frame) => frame === success),
});
const A = "/api/v1/episodes/e1";
const B = "/api/v1/episodes/e2";
const short = episodeDetail({
  id: "e2",
  outcome: "failure",
  policy_number: 13,
  steps: 60,
  human_steps: 10,
  segments: [
    { start: 0, end: 50, mode: "autonomous", source: "policy", operator: "", reason: "" },
    { start: 50, end: 60, mode: "teleop", source: "person", operator: "bea", reason: "" },
  ],
});

const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", is_staff: true } }],
  [`GET ${A}`]: [200, episodeDetail()],
  [`GET ${B}`]: [200, short],
  [`GET ${A}/steps`]: [200, stepsOf(100, 0.01, 95)],
  [`GET ${B}/steps`]: [200, stepsOf(60, 0.02, 55)],
  ...change,
});

beforeEach(() => {
  vi.spyOn(HTMLMediaElement.prototype, "play").mockImplementation(() => Promise.resolve());
  vi.spyOn(HTMLMediaElement.prototype, "pause").mockImplementation(() => undefined);
});

async function open(search = "") {
  const app = renderApp(`/episodes/e1/compare/e2${search}`, answers());
  await screen.findByRole("figure", { name: "x over steps" });
  return app;
}

const at = () => screen.getByRole("slider", { name: "Timeline" }).getAttribute("aria-valuetext");
const press = (key: string, options: Partial<KeyboardEventInit> = {}) => fireEvent.keyDown(document.body, { key, ...options });
const time = (side: "A" | "B") =>
  within(screen.getByRole("region", { name: `Episode ${side}` })).getByLabelText<HTMLVideoElement>("Camera front").currentTime;
const readings = () =>
  within(screen.getByRole("figure", { name: "x over steps" }))
    .getAllByRole("definition")
    .map((value) => value.textContent);

describe("comparing two episodes", () => {
  it("steps both from the start, and lets the shorter one stand at its end", async () => {
    await open();
    press("ArrowRight", { shiftKey: true });
    expect([at(), time("A"), time("B")]).toEqual(["step 10, A: Policy, B: Policy", 1.05, 1.05]);
    expect(readings()).toEqual(["0.100", "0.200"]);
    press("End");
    expect([at(), time("A"), time("B")]).toEqual(["step 99, A: Person, B: nobody", 9.95, 5.95]);
    expect(readings()).toEqual(["0.990", "–"]);
  });

  it("puts the first takeovers above each other", async () => {
    const { router } = await open();
    press("ArrowRight");
    fireEvent.change(screen.getByRole("combobox", { name: "In step" }), { target: { value: "takeover" } });
    press("Home");
    press("n");
    expect([at(), time("A"), time("B")]).toEqual(["step 50, A: Person, B: Person", 3.05, 5.05]);
    press("Home");
    expect([time("A"), time("B")]).toEqual([0.05, 0.05]);
    await waitFor(() => expect(router.state.location.search).toBe("?align=takeover"));
  });

  it("opens at the frame and alignment of the link", async () => {
    await open("?align=success&frame=95");
    expect([at(), time("A"), time("B")]).toEqual(["step 95, A: Person, B: Person", 9.55, 5.55]);
  });

  it("says what differs", async () => {
    await open();
    const rows = within(screen.getByRole("table", { name: "How the two episodes differ" })).getAllByRole("row").map((row) => row.textContent);
    expect(rows).toContain("OutcomeSuccessFailure");
    expect(rows).toContain("Policyv12 of demov13 of demo");
    expect(rows).toContain("Steps10060−40");
    expect(rows).toContain("First success at step9555−40");
    expect(rows).toContain("Takeovers21−1");
  });

  it("offers the other episodes of the task", async () => {
    const app = renderApp("/episodes/e1/compare", answers({
      "GET /api/v1/episodes": [200, { next: null, previous: null, results: [episode(), episode({ id: "e2" })] }],
      "GET /api/v1/episodes/counts": [200, counts(2)],
    }));
    const table = within(await screen.findByRole("table", { name: "Other episodes of this task" }));
    expect(table.getAllByRole("link").map((link) => link.getAttribute("href"))).toEqual(["/episodes/e1/compare/e2"]);
    expect(app.requests.find(({ key }) => key === "GET /api/v1/episodes")?.query.get("task")).toBe("box-close");
  });

  it("compares only episodes of one task", async () => {
    renderApp("/episodes/e1/compare/e2", answers({ [`GET ${B}`]: [200, episodeDetail({ id: "e2", task: "bin-picking" })] }));
    expect(await screen.findByText("One is box-close, the other bin-picking")).toBeTruthy();
  });

  it("keeps time where the control rates differ", () => {
    const pair = pairOf(episodeDetail(), { ...short, control_rate_hz: 20, steps: 120 }, { a: 0, b: 0 });
    expect(pair.length).toBe(100);
    expect([0, 10, 59, 60].map((place) => placeIn(pair.parts.b, place))).toEqual([
      { frame: 0, isWithin: true },
      { frame: 20, isWithin: true },
      { frame: 118, isWithin: true },
      { frame: 119, isWithin: false },
    ]);
  });
});
