import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";

vi.mock("uplot", () => ({
  default: class {
    setData() {}
    setSize() {}
    destroy() {}
  },
}));

const ID = "0198f2c4-0000-7000-8000-000000000001";
const OTHER = "0198f2c4-0000-7000-8000-000000000002";
const VERSION = "0198f2c4-0000-7000-8000-00000000000a";
const limits = { low: null, high: null, above: null, below: null, pattern: null, choices: null, is_optional: false, unit: "" };
const BATCH = { ...limits, path: "optim.batch_size", group: "Optimiser", label: "Batch size", kind: "integer", default: 64, low: 1, high: 65_536, unit: "rows", help: "Rows of one step." };
const RATE = { ...limits, path: "optim.learning_rate", group: "Optimiser", label: "Learning rate", kind: "number", default: 0.0003, above: 0, high: 1, help: "Of AdamW." };
const AGE = { ...limits, path: "data.max_age_s", group: "Data", label: "Max age", kind: "number", default: null, is_optional: true, above: 0, unit: "s", help: "Older ones leave." };
const COMPILE = { ...limits, path: "compile", group: "Machine", label: "Compile", kind: "boolean", default: false, help: "Compile the loss." };
const MASK = { ...limits, path: "algorithm_config.mask", group: "Algorithm", label: "Mask", kind: "choice", default: "all", choices: ["all", "sirius"], help: "Which frames." };
const GUIDANCE = { ...limits, path: "algorithm_config.guidance", group: "Algorithm", label: "Guidance", kind: "number", default: 1, low: 1, high: 100, help: "How strongly." };
const SETTINGS = {
  algorithms: [
    { name: "hg_dagger", title: "HG-DAgger", help: "Imitates corrections.", fields: [MASK] },
    { name: "recap", title: "RECAP", help: "Learns a value.", fields: [GUIDANCE] },
  ],
  fields: [BATCH, RATE, AGE, COMPILE],
};
const DETAIL = {
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
  success: [],
  asked: "",
  failure_message: "",
  config: { optim: { batch_size: 32 }, data: { cache_dir: "/x" } },
  seed: 5,
  tasks: ["box-close"],
  steps_per_s: 4,
  experience: { usable: 12, ingested: 10, sampled: 9, frames: 1000, human_frames: 250 },
  takes_online: true,
  dataset: null,
  asked_by_name: "",
  revision: 7,
  began_from: { id: VERSION, number: 2, run: OTHER, run_name: "first" },
  copied_from: { id: OTHER, name: "first" },
};
const RUNS = { results: [DETAIL, { ...DETAIL, id: OTHER, name: "first" }] };

const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mia", permissions: ["see", "run_training"] } }],
  "GET /api/v1/tasks": [200, { results: [{ slug: "box-close" }] }],
  "GET /api/v1/datasets": [200, { results: [{ id: OTHER, name: "pushes", newest_version: 3 }] }],
  "GET /api/v1/policy-versions": [200, { results: [{ id: VERSION, run: OTHER, number: 2 }] }],
  [`GET /api/v1/policy-versions/${VERSION}`]: [200, { id: VERSION, run: OTHER, number: 2 }],
  "GET /api/v1/training-settings": [200, SETTINGS],
  "GET /api/v1/metrics/success": [200, { definition: "d", confidence: 0.95, window_s: 300, points: [], versions: [] }],
  "GET /api/v1/training-runs": [200, RUNS],
  [`GET /api/v1/training-runs/${ID}`]: [200, DETAIL],
  [`GET /api/v1/training-runs/${ID}/versions`]: [200, { versions: [] }],
  [`GET /api/v1/training-runs/${ID}/metrics/names`]: [200, { names: [] }],
  "POST /api/v1/training-runs": [201, { id: ID, name: "demo" }],
  ...change,
});
const type = (label: string, value: string) => fireEvent.change(screen.getByLabelText(new RegExp(`^${label}`)), { target: { value } });
const start = () => screen.getByRole<HTMLButtonElement>("button", { name: "Start training" });

describe("form of a run", () => {
  it("is made of the learner's settings, with unit, range, help and default", async () => {
    renderApp("/training/new", answers());
    const batch = await screen.findByLabelText(/^Batch size/);
    expect((batch as HTMLInputElement).value).toBe("64");
    expect(screen.getByText("Rows of one step. 1 to 65,536 rows. Default: 64.")).toBeTruthy();
    expect(screen.getByText("Older ones leave. More than 0 s or empty for none. Default: none.")).toBeTruthy();
    expect(screen.getByText("Imitates corrections.")).toBeTruthy();
    fireEvent.change(screen.getByLabelText("Algorithm"), { target: { value: "recap" } });
    expect(screen.getByLabelText(/^Guidance/)).toBeTruthy();
    expect(screen.queryByLabelText(/^Mask/)).toBeNull();
  });

  it("sends only what is other than the default, nested as the learner reads it", async () => {
    const { requests, router } = renderApp("/training/new", answers());
    await screen.findByLabelText(/^Batch size/);
    type("Name", " second ");
    type("Batch size", "32");
    type("Max age", "600");
    type("Compile", "true");
    fireEvent.click(start());
    await waitFor(() => expect(router.state.location.pathname).toBe(`/training/${ID}`));
    const body = requests.find(({ key }) => key === "POST /api/v1/training-runs")?.body;
    expect(body).toEqual({
      name: "second",
      base: VERSION,
      algorithm: "hg_dagger",
      config: { optim: { batch_size: 32 }, data: { max_age_s: 600 }, compile: true },
      seed: 0,
      tasks: [],
      dataset: null,
      takes_online: true,
      target_steps: null,
      copied_from: null,
    });
  });

  it("says what is wrong before anything is sent", async () => {
    renderApp("/training/new", answers());
    await screen.findByLabelText(/^Batch size/);
    type("Name", "second");
    type("Batch size", "0");
    expect(screen.getByText("Must be 1 to 65,536 rows.")).toBeTruthy();
    expect(screen.getByLabelText(/^Batch size/).getAttribute("aria-invalid")).toBe("true");
    expect(screen.getByRole("alert").textContent).toBe("To be corrected: Batch size.");
    expect(start().disabled).toBe(true);
    type("Batch size", "1.5");
    expect(screen.getByText("Give a whole number.")).toBeTruthy();
    type("Batch size", "8");
    expect(start().disabled).toBe(false);
  });

  it("shows the server's refusals at their fields", async () => {
    const detail = "optim.batch_size: must be at most 16 rows";
    const problem = { code: "settings_invalid", title: "Unprocessable", detail, status: 422, problems: [{ field: "optim.batch_size", detail: "must be at most 16 rows" }] };
    renderApp("/training/new", answers({ "POST /api/v1/training-runs": [422, problem] }));
    await screen.findByLabelText(/^Batch size/);
    type("Name", "second");
    fireEvent.click(start());
    expect(await screen.findByText("must be at most 16 rows")).toBeTruthy();
    expect(screen.getByRole("alert").textContent).toBe(`No run was started. ${detail}`);
    type("Batch size", "16");
    expect(screen.queryByText("must be at most 16 rows")).toBeNull();
  });

  it("wants steps for a dataset alone, and says that robots keep their version", async () => {
    const { requests } = renderApp("/training/new", answers());
    await screen.findByLabelText(/^Batch size/);
    await screen.findByRole("option", { name: "pushes v3" });
    type("Name", "offline");
    type("Offline data", `${OTHER}/3`);
    type("New episodes of robots", "no");
    expect(start().disabled).toBe(true);
    expect(screen.getByText(/robots keep their version/)).toBeTruthy();
    type("Gradient steps", "500");
    fireEvent.click(start());
    await waitFor(() => expect(requests.some(({ key }) => key.startsWith("POST"))).toBe(true));
    const body = requests.find(({ key }) => key.startsWith("POST"))?.body;
    expect(body).toMatchObject({ dataset: { id: OTHER, version: 3, split: "" }, takes_online: false, target_steps: 500 });
  });

  it("begins as the copied run was set, shows what differs, and names what is left out", async () => {
    const { requests } = renderApp(`/training/new?copy=${ID}`, answers());
    const batch = await screen.findByLabelText(/^Batch size/);
    expect([(batch as HTMLInputElement).value, screen.getByLabelText<HTMLInputElement>("Name").value]).toEqual(["32", "demo copy"]);
    const panel = within(screen.getByRole("region", { name: "What differs from demo" }));
    expect(panel.getByText("No setting yet.")).toBeTruthy();
    expect(panel.getByText(/no such setting: data\.cache_dir/)).toBeTruthy();
    type("Batch size", "64");
    const row = within(panel.getByRole("row", { name: /Optimiser: Batch size/ }));
    expect(row.getAllByRole("cell").map((cell) => cell.textContent)).toEqual(["Optimiser: Batch size", "32", "64"]);
    fireEvent.click(start());
    await waitFor(() => expect(requests.some(({ key }) => key.startsWith("POST"))).toBe(true));
    const body = requests.find(({ key }) => key.startsWith("POST"))?.body;
    expect(body).toMatchObject({ copied_from: ID, base: VERSION, seed: 5, tasks: ["box-close"], config: {} });
  });

  it("is not for those who may not start runs", async () => {
    renderApp("/training/new", answers({ "GET /api/v1/session": [200, { user: { username: "ann", permissions: ["see"] } }] }));
    expect(await screen.findByText("Managers and admins start runs")).toBeTruthy();
  });
});

describe("acts on a run", () => {
  const act = (name: string, status: number, body: unknown) => answers({ [`POST /api/v1/training-runs/${ID}/${name}`]: [status, body] });

  it("asks to pause over what was read, and says that the learner obeys at the end of its round", async () => {
    const app = renderApp(`/training/${ID}`, act("pause", 200, { state: "running", asked: "paused" }));
    app.answers[`GET /api/v1/training-runs/${ID}`] = [200, DETAIL];
    fireEvent.click(await screen.findByRole("button", { name: "Pause" }));
    expect(await screen.findByText("Pause: the learner will obey at the end of its round.")).toBeTruthy();
  });

  it("keeps the focus on the button that pauses and resumes", async () => {
    const app = renderApp(`/training/${ID}`, act("pause", 200, { state: "running", asked: "paused" }));
    const button = await screen.findByRole("button", { name: "Pause" });
    button.focus();
    app.answers[`GET /api/v1/training-runs/${ID}`] = [200, { ...DETAIL, asked: "paused", asked_by_name: "mia" }];
    fireEvent.click(button);
    expect(await screen.findByRole("button", { name: "Go on after all" })).toBe(button);
    expect(document.activeElement).toBe(button);
  });

  it("shows what is asked beside what the learner confirmed, and lets it be taken back", async () => {
    const asked = { ...DETAIL, asked: "paused", asked_by_name: "mia" };
    renderApp(`/training/${ID}`, answers({ [`GET /api/v1/training-runs/${ID}`]: [200, asked] }));
    expect(await screen.findByText("Pausing: the learner finishes its round, asked by mia")).toBeTruthy();
    expect(screen.getByText("Training", { selector: "span" })).toBeTruthy();
    expect(screen.getByRole("button", { name: "Go on after all" })).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Pause" })).toBeNull();
  });

  it("stops only after a second word, and says so when somebody was quicker", async () => {
    const late = { code: "precondition_failed", title: "Precondition Failed", detail: "revision 8", status: 412 };
    const { requests } = renderApp(`/training/${ID}`, act("stop", 412, late));
    fireEvent.click(await screen.findByRole("button", { name: "Stop" }));
    expect(requests.some(({ key }) => key.startsWith("POST"))).toBe(false);
    fireEvent.click(screen.getByRole("button", { name: "Stop the run" }));
    expect(await screen.findByText("Stop: the run has changed meanwhile. Look again.")).toBeTruthy();
  });

  it("offers a stopped run's copy alone, and whence it came", async () => {
    renderApp(`/training/${ID}`, answers({ [`GET /api/v1/training-runs/${ID}`]: [200, { ...DETAIL, state: "stopped" }] }));
    expect((await screen.findByRole("link", { name: "Copy" })).getAttribute("href")).toBe(`/training/new?copy=${ID}`);
    for (const name of ["Pause", "Resume", "Stop"]) expect(screen.queryByRole("button", { name })).toBeNull();
    expect(screen.getByRole("link", { name: "v2 of first" }).getAttribute("href")).toBe(`/versions/${VERSION}`);
    expect(screen.getByRole("link", { name: "copied from first" })).toBeTruthy();
  });
});

describe("comparison of runs", () => {
  const rate = { successes: 2, n: 3, rate: 0.667, low: 0.208, high: 0.939 };
  const column = { state: "running", step: 300, versions: 4, steps_per_s: 4, loss: null, ingested: 10, autonomous: null, interventions: null, success: [] };
  const COMPARED = {
    runs: [
      { ...column, id: ID, name: "demo", loss: { mean: 0.25, low: 0.2, high: 0.3, n: 20 }, autonomous: rate, success: [rate, { ...rate, n: 50, rate: 0.8 }] },
      { ...column, id: OTHER, name: "first" },
    ],
    settings: [
      { path: "optim.batch_size", label: "Batch size", group: "Optimiser", unit: "rows", values: [32, 64], differs: true },
      { path: "compile", label: "Compile", group: "Machine", unit: "", values: [false, false], differs: false },
    ],
  };
  const series = (...mean: number[]): Answer => [
    200,
    { width: 1, last_step: 200, step: [100, 200], at_ms: [1, 2], series: [{ name: "loss", mean, low: mean, high: mean }] },
  ];
  const compared = () =>
    answers({
      "GET /api/v1/training-runs/compare": [200, COMPARED],
      [`GET /api/v1/training-runs/${ID}/metrics`]: series(0.5, 0.25),
      [`GET /api/v1/training-runs/${OTHER}/metrics`]: series(0.6, 0.4),
    });

  it("has figures with n and intervals, curves over each other, and the settings that differ", async () => {
    const { requests } = renderApp(`/training/compare?run=${ID}&run=${OTHER}`, compared());
    const figures = within(await screen.findByRole("table", { name: "Figures of the runs" }));
    const success = within(figures.getByRole("row", { name: /^Autonomous success/ })).getAllByRole("cell");
    expect(success.map((cell) => cell.textContent).slice(1)).toEqual(["67\u00a0% (21–94\u00a0%), n = 3", "no episodes yet"]);
    expect(figures.getByText("0.250 (0.200–0.300), n = 20")).toBeTruthy();
    const settings = within(screen.getByRole("table", { name: "Settings of the runs" }));
    expect(settings.getAllByRole("row")).toHaveLength(2);
    expect(await settings.findByText("32 rows")).toBeTruthy(); // the unit comes with the settings' descriptions
    const loss = await screen.findByRole("slider", { name: "Loss, read-out" });
    expect(loss.getAttribute("aria-valuetext")).toBe("step 200: demo 0.250; first 0.400");
    fireEvent.keyDown(loss, { key: "Home" });
    expect(loss.getAttribute("aria-valuetext")).toBe("step 0: demo –; first –");
    expect(screen.getByRole("slider", { name: "Autonomous success, read-out" }).getAttribute("aria-valuetext")).toContain("episode 53: demo 80");
    expect(requests.find(({ key }) => key.endsWith("/compare"))?.query.getAll("run")).toEqual([ID, OTHER]);
  });

  it("shows all settings on demand, in the URL", async () => {
    const { router } = renderApp(`/training/compare?run=${ID}&run=${OTHER}`, compared());
    fireEvent.change(await screen.findByLabelText("Which settings"), { target: { value: "all" } });
    expect(within(screen.getByRole("table", { name: "Settings of the runs" })).getAllByRole("row")).toHaveLength(3);
    expect(router.state.location.search).toContain("settings=all");
  });

  it("waits for a second run and keeps the choice in the URL", async () => {
    const { router } = renderApp(`/training/compare?run=${ID}`, compared());
    expect(await screen.findByText("Choose another run to compare demo with")).toBeTruthy();
    await screen.findAllByRole("option", { name: "first" });
    fireEvent.change(screen.getByLabelText("Run 2"), { target: { value: OTHER } });
    await screen.findByRole("table", { name: "Figures of the runs" });
    expect(router.state.location.search).toBe(`?run=${ID}&run=${OTHER}`);
    expect(screen.getByLabelText("Run 3")).toBeTruthy();
  });

  it("says so when there is no other run, and how to make one", async () => {
    renderApp(`/training/compare?run=${ID}`, { ...compared(), "GET /api/v1/training-runs": [200, { results: [DETAIL] }] });
    expect(await screen.findByText("demo is the only run yet")).toBeTruthy();
    expect(screen.getByRole("link", { name: "Copy it with other settings" }).getAttribute("href")).toBe(`/training/new?copy=${ID}`);
  });
});
