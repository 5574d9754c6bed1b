import { fireEvent, screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn } from "@/testing/session-fixtures";

const RUN = "0198f2c4-0000-7000-8000-000000000001";
const none = { value: null, low: null, high: null };
const figures = (change: object = {}) => ({
  episodes: 12,
  human_episodes: 0,
  instants: 90,
  asked: 90,
  answered: 80,
  policy_n: 80,
  human_n: 0,
  policy: { value: 0.213, low: 0.18, high: 0.246 },
  human: none,
  own: none,
  closer: none,
  ...change,
});
const humans = { human_n: 6, human: { value: 0.5, low: null, high: null }, own: { value: 0.7, low: 0.6, high: 0.8 } };
const robot = (name: string, state: string, text: string) => ({ robot: `id-${name}`, robot_name: name, state, code: "", text, episodes: 3 });
const SHADOW = {
  id: "s-1",
  version: "v-2",
  number: 2,
  run: RUN,
  share: 0.5,
  max_episodes: 200,
  tag: "",
  began_at: "2026-11-26T09:00:00Z",
  ends_at: "2026-11-27T09:00:00Z",
  ended_at: null,
  reason: "",
  by_name: "mia",
  sentence: "Version 2 proposed 80 times in 12 episodes, 10 skipped.",
  total: figures(),
  robots: [robot("arm-1", "running", "Shadows."), robot("arm-2", "unsupported", "Does not shadow (daemon 0.0.9).")],
  points: [{ began_at: "2026-11-26T09:00:00Z", until: "2026-11-26T10:00:00Z", figures: figures(humans) }],
  tasks: [{ task: "box-close", figures: figures() }],
  is_cut: false,
};
const EPISODE = {
  episode: "e-1",
  robot_name: "arm-1",
  task: "box-close",
  started_at: "2026-11-26T09:10:00Z",
  driving_number: 1,
  asked: 9,
  answered: 8,
  policy_n: 8,
  policy_total: 1.6,
  human_n: 0,
  human_total: 0,
  own_total: 0,
};
const REPORT = {
  version: {
    id: "v-2",
    run: RUN,
    number: 2,
    step: 200,
    parent: null,
    architecture: "flow_vla.v1",
    size_bytes: 4_200_000,
    trained_at: "2026-11-26T09:00:00Z",
    published_at: "2026-11-26T09:01:00Z",
    notes: "",
    notes_revision: 0,
    stages: [],
    robots: 0,
    rates: { success: null, interventions: null },
  },
  run_name: "demo",
  manifest_sha256: "ab".repeat(32),
  blobs: {},
  tasks: [],
  data: null,
  dataset: null,
  parent: null,
  deployments: [],
};
const RELEASE = { revision: 1, strategy: "manual", canary: {}, current: "v-1", current_number: 1, rollout: null, past: [], events: [] };
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(["see", "release_versions"]),
  "GET /api/v1/training-runs": [200, { results: [{ id: RUN, name: "demo", state: "running" }] }],
  [`GET /api/v1/training-runs/${RUN}/lineage`]: [200, { versions: [] }],
  [`GET /api/v1/training-runs/${RUN}/release`]: [200, RELEASE],
  [`GET /api/v1/training-runs/${RUN}/shadows`]: [200, { shadows: [SHADOW] }],
  "GET /api/v1/policy-versions/v-2/report": [200, REPORT],
  "GET /api/v1/policy-versions/v-2/shadows": [200, { shadows: [SHADOW] }],
  "GET /api/v1/shadows/s-1/episodes": [200, { results: [EPISODE] }],
  "GET /api/v1/robots": [200, { results: [{ id: "id-arm-1", name: "arm-1", retired_at: null }] }],
  ...change,
});

describe("shadows", () => {
  it("says what was seen, on which robots, and links the episodes behind it", async () => {
    renderApp("/versions/v-2", answers());
    expect(await screen.findByText(SHADOW.sentence)).toBeDefined();
    const robots = screen.getByRole("table", { name: "Robots that shadow v2" });
    expect(within(robots).getByText("Does not shadow (daemon 0.0.9).")).toBeDefined();
    expect(screen.getByText(/at 50 % of the plans/)).toBeDefined();
    const episodes = await screen.findByRole("table", { name: "Episodes of the shadow" });
    expect(within(episodes).getByRole("link").getAttribute("href")).toBe("/episodes/e-1");
    expect(within(episodes).getByText("0.200")).toBeDefined();
    expect(within(episodes).getByText("8 of 9")).toBeDefined();
  });

  it("reads the chart out with interval and n, and shows it as a table", async () => {
    renderApp("/versions/v-2", answers());
    const chart = await screen.findByRole("slider", { name: "Distance over time, read-out" });
    expect(chart.getAttribute("aria-valuetext")).toContain("To what the policy did 0.213");
    expect(chart.getAttribute("aria-valuetext")).toContain("To the human, candidate 0.500");
    const form = screen.getByRole("tablist", { name: "Form of Distance by task" });
    fireEvent.click(within(form).getByRole("tab", { name: "Table" }));
    const table = screen.getByRole("table", { name: "Distance by task" });
    expect(within(table).getByText("0.213, 0.180–0.246, n = 80")).toBeDefined();
  });

  it("begins one by lot, by tag or by name, and says a refusal", async () => {
    const { requests, answers: mine } = renderApp(
      "/versions/v-2",
      answers({
        "GET /api/v1/policy-versions/v-2/shadows": [200, { shadows: [] }],
        "POST /api/v1/policy-versions/v-2/shadows": [409, { code: "shadow_busy", title: "", detail: "arm-1 shadows version 1 already", status: 409 }],
      }),
    );
    expect(await screen.findByText(/It never ran as a shadow/)).toBeDefined();
    fireEvent.click(screen.getByRole("button", { name: "Shadow it on robots" }));
    const dialog = screen.getByRole("dialog");
    fireEvent.change(within(dialog).getByLabelText("Where"), { target: { value: "robots" } });
    const confirm = within(dialog).getByRole("button", { name: "Shadow" });
    expect(confirm).toHaveProperty("disabled", true);
    fireEvent.click(await within(dialog).findByRole("checkbox", { name: "arm-1", hidden: true }));
    fireEvent.change(within(dialog).getByLabelText("Ends after, hours"), { target: { value: "2" } });
    fireEvent.click(confirm);
    expect(await within(dialog).findByText("arm-1 shadows version 1 already")).toBeDefined();
    mine["POST /api/v1/policy-versions/v-2/shadows"] = [201, SHADOW];
    fireEvent.change(within(dialog).getByLabelText("Where"), { target: { value: "tag" } });
    fireEvent.change(within(dialog).getByLabelText("Tag"), { target: { value: "lab" } });
    fireEvent.click(confirm);
    expect(await screen.findByText("v2 is shadowed.")).toBeDefined();
    expect(requests.filter(({ key }) => key.startsWith("POST")).map(({ body }) => body)).toEqual([
      { robots: ["id-arm-1"], share: 1, duration_s: 7200, max_episodes: 200 },
      { tag: "lab", share: 1, duration_s: 7200, max_episodes: 200 },
    ]);
  });

  it("ends one; who may not release sees no buttons", async () => {
    renderApp("/versions/v-2", answers({ "POST /api/v1/shadows/s-1/end": [200, SHADOW] }));
    fireEvent.click(await screen.findByRole("button", { name: "End the shadow" }));
    expect(await screen.findByText("The shadow is ended.")).toBeDefined();
  });

  it("shows an operator the numbers alone", async () => {
    renderApp("/versions/v-2", answers({ "GET /api/v1/session": signedIn(["see"]) }));
    expect(await screen.findByText(SHADOW.sentence)).toBeDefined();
    for (const name of ["End the shadow", "Shadow it on robots"]) {
      expect(screen.getByRole("button", { name })).toHaveProperty("disabled", true);
    }
  });

  it("says that it could not be read, and tries again", async () => {
    const { answers: mine } = renderApp(
      "/versions/v-2",
      answers({ "GET /api/v1/policy-versions/v-2/shadows": [403, { code: "permission_denied", title: "", detail: "not for you", status: 403 }] }),
    );
    expect(await screen.findByText(/The shadows could not be read: not for you/)).toBeDefined();
    mine["GET /api/v1/policy-versions/v-2/shadows"] = [200, { shadows: [SHADOW] }];
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText(SHADOW.sentence)).toBeDefined();
  });

  it("is named on the run's page with a link to its version", async () => {
    renderApp("/versions", answers());
    const panel = await screen.findByRole("region", { name: "Shadowed now" });
    expect(within(panel).getByRole("link", { name: "v2" }).getAttribute("href")).toBe("/versions/v-2");
  });
});
