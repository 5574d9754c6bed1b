import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { snapshot } from "@/testing/fleet-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";

// jsdom has no canvas; what the plots draw is looked at in a browser, what they say is in legend, read-out and table.
vi.mock("uplot", () => ({
  default: class {
    setData() {}
    setSize() {}
    destroy() {}
  },
}));

const ID = "0198f2c4-0000-7000-8000-000000000001";
const RUN = {
  id: ID,
  name: "demo",
  algorithm: "hg_dagger",
  state: "running",
  step: 300,
  target_steps: null,
  failure_code: "",
  created_at: "2026-11-23T00:00:00Z",
  heartbeat_at: new Date().toISOString(),
  newest_version: 4,
  newest_version_at: new Date().toISOString(),
  success: [{ successes: 31, n: 50, rate: 0.62, low: 0.48, high: 0.74 }],
  asked: "",
};
const DETAIL = {
  ...RUN,
  failure_message: "",
  config: { threads: 1, optim: { batch_size: 64 }, round: { publish_interval_s: 20 } },
  seed: 5,
  tasks: ["box-close"],
  steps_per_s: 4,
  experience: { usable: 12, ingested: 10, sampled: 9, frames: 1000, human_frames: 250 },
  takes_online: true,
  asked_by_name: "",
  revision: 3,
};
const same = (name: string, ...mean: number[]) => ({ name, mean, low: mean, high: mean });
const SERIES = {
  width: 1,
  last_step: 200,
  step: [100, 200],
  at_ms: [1_000_000, 1_020_000],
  series: [
    same("data_wait", 0.03, 0.02),
    same("loss/box-close/offline", 0.09, 0.08),
    same("loss/box-close/online", 0.2, 0.15),
    same("share/box-close/cap", 0.6, 0.62),
    same("share/box-close/clipped", 0.6, 0.62),
    same("share/box-close/raw", 0.7, 0.71),
  ],
};
const NAMES = SERIES.series.map(({ name }) => name);

const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", is_staff: true } }],
  "GET /api/v1/tasks": [200, { results: [{ slug: "box-close" }] }],
  "GET /api/v1/metrics/success": [200, { definition: "d", confidence: 0.95, window_s: 300, points: [], versions: [] }],
  "GET /api/v1/training-runs": [200, { next: null, previous: null, results: [RUN] }],
  [`GET /api/v1/training-runs/${ID}`]: [200, DETAIL],
  [`GET /api/v1/training-runs/${ID}/versions`]: [200, { versions: [{ number: 4, step: 150, published_ms: 1_010_000 }] }],
  [`GET /api/v1/training-runs/${ID}/metrics/names`]: [200, { names: NAMES }],
  [`GET /api/v1/training-runs/${ID}/metrics`]: [200, SERIES],
  ...change,
});

async function openRun(change: Record<string, Answer> = {}, search = "") {
  const app = renderApp(`/training/${ID}${search}`, answers(change));
  await screen.findByRole("heading", { name: "demo" });
  const socket = app.sockets.at(-1);
  if (socket === undefined) throw new Error("the page opened no link");
  return { ...app, socket };
}

const plot = (name: string) => screen.findByRole("slider", { name: `${name}, read-out` });
const rows = (after: number, ...steps: number[]) =>
  ({
    type: "run_rows",
    server_ms: 0,
    run_id: ID,
    after_step: after,
    rows: steps.map((step) => ({ step, at_ms: 1_000_000 + step * 200, values: { "loss/box-close/online": step / 10_000 } })),
  }) as const;

describe("list of runs", () => {
  it("shows state, version and success with interval and n, and leads to the run", async () => {
    renderApp("/training", answers());
    const row = within(await screen.findByRole("row", { name: /demo/ }));
    for (const text of ["Training", "HG-DAgger", "300", "62 %"]) expect(row.getByText(text)).toBeTruthy();
    expect(row.getByText(/48–74 %, n = 50/)).toBeTruthy();
    fireEvent.click(row.getByRole("link", { name: "demo" }));
    expect(await screen.findByRole("heading", { name: "demo" })).toBeTruthy();
    expect(screen.getByRole("link", { name: "Training" }).className).toContain("font-medium");
  });

  it("says what a run is when there is none, and when runs cannot be read", async () => {
    renderApp("/training", answers({ "GET /api/v1/training-runs": [200, { results: [] }] }));
    expect(await screen.findByText("No training run yet")).toBeTruthy();
  });
});

describe("page of a run", () => {
  it("says whether the run is well in words", async () => {
    await openRun();
    await plot("Loss, box-close");
    const figure = (label: string) => screen.getByText(label).nextSibling?.textContent;
    expect(figure("Waits for data")).toBe("2\u00a0%  kept busy");
    expect([figure("Episodes taken in"), figure("Human frames")]).toEqual(["10 of 12", "25\u00a0% of 1,000"]);
    expect(screen.getByText(/^62 % of this task's training comes from the fleet.*the cap holds it/)).toBeTruthy();
    expect(screen.getByText("publish interval").nextSibling?.textContent).toBe("20\u00a0s");
  });

  it("watches the run and draws rows as they come", async () => {
    const { socket } = await openRun();
    act(() => socket.deliver(1, snapshot()));
    expect(socket.sent).toEqual([[1, { type: "watch_run", run_id: ID }]]);
    const loss = await plot("Loss, box-close");
    expect(loss.getAttribute("aria-valuetext")).toContain("step 200, ");
    act(() => socket.deliver(2, rows(200, 300)));
    expect(loss.getAttribute("aria-valuetext")).toContain("Fleet 0.0300; Demonstrations –");
    expect(loss.getAttribute("aria-valuemax")).toBe("2");
  });

  it("reads again when rows are missing between, once", async () => {
    const { socket, requests } = await openRun();
    await plot("Loss, box-close");
    act(() => socket.deliver(1, snapshot()));
    const asked = () => requests.filter(({ key }) => key.endsWith("/metrics")).length;
    expect(asked()).toBe(1);
    act(() => socket.deliver(2, rows(400, 500)));
    await waitFor(() => expect(asked()).toBe(2));
    act(() => socket.deliver(3, rows(500, 600)));
    expect(asked()).toBe(2);
  });

  it("holds still on demand and counts what waits", async () => {
    const { socket } = await openRun();
    const loss = await plot("Loss, box-close");
    act(() => socket.deliver(1, snapshot()));
    fireEvent.click(screen.getByRole("button", { name: "Hold still" }));
    act(() => socket.deliver(2, rows(200, 300, 400)));
    expect(loss.getAttribute("aria-valuemax")).toBe("1");
    fireEvent.click(screen.getByRole("button", { name: "Go on (2 new)" }));
    expect(loss.getAttribute("aria-valuemax")).toBe("3");
  });

  it("has every number in a table, and the choice in the URL", async () => {
    const { router } = await openRun({}, "?axis=step");
    fireEvent.click(screen.getByRole("tab", { name: "Tables" }));
    const table = within(await screen.findByRole("table", { name: "Loss, box-close" }));
    const cells = within(table.getAllByRole("row")[1] as HTMLElement).getAllByRole("cell");
    expect(cells.slice(1).map((cell) => cell.textContent)).toEqual(["200", "0.150", "0.0800"]);
    expect(router.state.location.search).toBe("?axis=step&charts=table");
  });

  it("asks only for the range that is shown", async () => {
    const { requests } = await openRun({}, "?range=900");
    await plot("Loss, box-close");
    const query = requests.find(({ key }) => key.endsWith("/metrics"))?.query;
    expect([query?.get("last_s"), query?.get("max_points"), query?.getAll("name")]).toEqual(["900", "300", NAMES]);
  });

  it("shows many tasks page by page", async () => {
    const many = Array.from({ length: 8 }, (_, index) => `loss/t${index}/online`);
    await openRun({ [`GET /api/v1/training-runs/${ID}/metrics/names`]: [200, { names: many }] });
    expect(await screen.findByText("1 to 6 of 8 tasks")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Next tasks" }));
    expect(screen.getByText("7 to 8 of 8 tasks")).toBeTruthy();
    expect(screen.getByRole("heading", { name: "t7" })).toBeTruthy();
    expect(screen.queryByRole("heading", { name: "t5" })).toBeNull();
  });

  it("says why a run failed, what to do, and what the robots do meanwhile", async () => {
    const failed = { ...DETAIL, state: "failed", heartbeat_at: "2026-11-22T00:00:00Z", failure_code: "non_finite_loss", failure_message: "NaN at step 3" };
    await openRun({ [`GET /api/v1/training-runs/${ID}`]: [200, failed] });
    const reason = within(screen.getByRole("region", { name: "Why the run failed" }));
    expect(reason.getByText("non_finite_loss")).toBeTruthy();
    expect(reason.getByText("NaN at step 3")).toBeTruthy();
    expect(reason.getByText(/lower learning rate.*Robots go on with v4\./)).toBeTruthy();
    expect(screen.queryByText(/Learner last heard|kept busy/)).toBeNull();
  });

  it("says so when the learner has fallen silent", async () => {
    const silent = { ...DETAIL, heartbeat_at: new Date(Date.now() - 120_000).toISOString() };
    await openRun({ [`GET /api/v1/training-runs/${ID}`]: [200, silent] });
    expect(screen.getByText("Learner last heard 2 min ago")).toBeTruthy();
  });

  it("says that nothing was measured yet, and what starts it", async () => {
    await openRun({
      [`GET /api/v1/training-runs/${ID}`]: [200, { ...DETAIL, state: "paused" }],
      [`GET /api/v1/training-runs/${ID}/metrics/names`]: [200, { names: [] }],
    });
    expect(await screen.findByText("Nothing measured yet")).toBeTruthy();
    expect(screen.getByText(/a manager resumes it/)).toBeTruthy();
  });

  it("says when the numbers cannot be read", async () => {
    const problem = { code: "invalid", title: "Bad Request", detail: "Not like this.", status: 400 };
    await openRun({ [`GET /api/v1/training-runs/${ID}/metrics`]: [400, problem] });
    expect(await screen.findByText("Not like this.")).toBeTruthy();
  });

  it("says when there is no such run", async () => {
    const problem = { code: "not_found", title: "Not Found", detail: "", status: 404 };
    renderApp(`/training/${ID}`, answers({ [`GET /api/v1/training-runs/${ID}`]: [404, problem] }));
    expect(await screen.findByText("There is no such training run")).toBeTruthy();
    expect(screen.getByRole("link", { name: "See all runs" }).getAttribute("href")).toBe("/training");
  });
});
