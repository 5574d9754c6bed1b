import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { lanesOf } from "@/features/versions/lanes";
import { snapshot } from "@/testing/fleet-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn, VIEWER } from "@/testing/session-fixtures";

/** The client reads three times within three seconds before it says so; on cores that others use that takes longer. */
const GIVING_UP = { timeout: 30_000 };
const RUN = "0198f2c4-0000-7000-8000-000000000001";
const rate = (successes: number, n: number) => ({ successes, n, rate: successes / n, low: 0.1, high: 0.9 });
const version = (number: number, change: object = {}) => ({
  id: `v-${number}`,
  run: RUN,
  number,
  step: number * 100,
  parent: number === 0 ? null : `v-${number - 1}`,
  architecture: "flow_vla.v1",
  size_bytes: 4_200_000,
  trained_at: "2026-11-26T09:00:00Z",
  published_at: "2026-11-26T09:01:00Z",
  notes: "",
  notes_revision: 3,
  stages: [],
  robots: 0,
  rates: { success: rate(31, 50), interventions: null },
  ...change,
});
const measure = (name: string, harm: number) => ({
  name,
  candidate_good: 2,
  current_good: 30,
  blocks: 9,
  difference: { estimate: -0.6, low: -0.9, high: -0.2 },
  harm,
  worth: 0.1,
  harm_limit: 40,
  worth_limit: 10,
});
const ROLLOUT = {
  id: "r-1",
  candidate: "v-2",
  candidate_number: 2,
  baseline: "v-1",
  baseline_number: 1,
  robots: ["arm-3"],
  per_block: 3,
  state: "canary",
  reason: "",
  is_automatic: false,
  evidence: { candidate: 9, current: 36, left_out: [1, 0], unsettled: [2, 3], measures: [measure("success", 12), measure("intervention", 1)] },
  settings: {},
  began_at: "2026-11-26T10:00:00Z",
  decided_at: null,
  by_name: "mia",
  next: "11 more episodes before it may be promoted.",
  episodes: 12,
};
const RELEASE = {
  revision: 5,
  strategy: "canary",
  canary: {},
  current: "v-1",
  current_number: 1,
  rollout: ROLLOUT,
  past: [],
  events: [{ id: 1, kind: "canary", reason: "on 1 of 4 robots", at: "2026-11-26T10:00:00Z", by_name: "mia", number: 2, robot_name: "" }],
};
const deployment = (number: number, change: object = {}) => ({
  robot: `robot-${number}`,
  robot_name: `arm-${number}`,
  robot_revision: 8,
  is_running: false,
  pinned_version: null,
  pinned_number: null,
  pinned_run_name: null,
  pinned_reason: "",
  announced_at: "2026-11-26T10:00:00Z",
  applied_at: null,
  refused_code: "",
  refused_message: "",
  fetched_bytes: 0,
  ...change,
});
const REPORT = {
  version: version(2, { stages: ["canary", "newest"], robots: 1 }),
  run_name: "demo",
  manifest_sha256: "ab".repeat(32),
  blobs: { aa: 1 },
  tasks: [{ task: "box-close", success: rate(2, 9), interventions: rate(1, 9) }],
  data: null,
  deployments: [
    deployment(3, { refused_code: "untrusted", refused_message: "version 2 is not signed" }),
    deployment(4, { pinned_version: "v-2", pinned_number: 2, pinned_run_name: "demo", pinned_reason: "visitors" }),
    deployment(5, { pinned_version: "v-1", pinned_number: 1, pinned_run_name: "demo" }),
    deployment(6, { pinned_version: "w-4", pinned_number: 4, pinned_run_name: "shelf" }),
  ],
};
const LINEAGE = { versions: [version(0), version(1, { stages: ["current"], robots: 3 }), version(2, { stages: ["canary", "newest"] })] };
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(["see", "release_versions", "export"]),
  "GET /api/v1/training-runs": [200, { results: [{ id: RUN, name: "demo", state: "running" }] }],
  [`GET /api/v1/training-runs/${RUN}/lineage`]: [200, LINEAGE],
  [`GET /api/v1/training-runs/${RUN}/release`]: [200, RELEASE],
  [`GET /api/v1/training-runs/${RUN}/shadows`]: [200, { shadows: [] }],
  "GET /api/v1/policy-versions/v-2/report": [200, REPORT],
  "GET /api/v1/policy-versions/v-2/shadows": [200, { shadows: [] }],
  "GET /api/v1/policy-versions/v-2/compare/v-1": [
    200,
    {
      measures: [
        { measure: "success", one: rate(2, 9), other: rate(30, 36), difference: -0.6, low: -0.9, high: -0.3, sentence: "Worse with 99.9 % confidence, n = 9 and 36." },
      ],
    },
  ],
  ...change,
});

describe("versions", () => {
  it("shows the candidate with its evidence and what happens next, and lets a manager decide", async () => {
    const { requests } = renderApp("/versions", answers({ "POST /api/v1/rollouts/r-1/roll-back": [200, RELEASE] }));
    expect(await screen.findByText("11 more episodes before it may be promoted.")).toBeDefined();
    const evidence = screen.getByRole("table", { name: "Evidence about v2" });
    expect(within(evidence).getAllByText("2 of 9")).toHaveLength(2);
    const [meter] = within(evidence).getAllByRole("meter", { name: "Evidence that it is worse" });
    expect(meter?.getAttribute("aria-valuetext")).toBe("12 : 1, limit 40 : 1");
    fireEvent.click(screen.getByRole("button", { name: "Roll back" }));
    fireEvent.change(screen.getByLabelText("Reason"), { target: { value: "drops cups" } });
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Roll back" }));
    expect(await screen.findByText("v2 is rolled back.")).toBeDefined();
    expect(requests.find(({ key }) => key.startsWith("POST"))?.body).toEqual({ reason: "drops cups" });
  });

  it("keeps what was read, and an open dialog, when it cannot be read again", async () => {
    const app = renderApp("/versions", answers());
    await screen.findByText("11 more episodes before it may be promoted.");
    fireEvent.click(screen.getByRole("button", { name: "Roll back" }));
    fireEvent.change(screen.getByLabelText("Reason"), { target: { value: "drops cups" } });
    const socket = app.sockets.at(-1);
    act(() => socket?.deliver(1, snapshot()));
    const fails = [500, { code: "internal", title: "", detail: "the server failed", status: 500 }] as const;
    const healthy = { ...app.answers };
    for (const key of Object.keys(healthy).filter((key) => key.includes(RUN))) app.answers[key] = fails;
    act(() => socket?.deliver(2, { type: "metrics_changed", server_ms: 0 }));
    const again = await screen.findByText("Not renewed", {}, GIVING_UP);
    expect(again.textContent).toContain("the server failed. Try again");
    expect(screen.getByText("11 more episodes before it may be promoted.")).toBeDefined();
    expect(screen.getByRole("table", { name: "Versions" })).toBeDefined();
    const reason = within(screen.getByRole("dialog")).getByLabelText<HTMLTextAreaElement>("Reason");
    expect(reason.value).toBe("drops cups");
    Object.assign(app.answers, healthy, {
      [`GET /api/v1/training-runs/${RUN}/release`]: [200, { ...RELEASE, rollout: { ...ROLLOUT, next: "Promoted in a minute." } }],
    });
    fireEvent.click(again);
    expect(await screen.findByText("Promoted in a minute.")).toBeDefined();
    await waitFor(() => expect(screen.queryByText("Not renewed")).toBeNull());
    expect(reason.isConnected && reason.value).toBe("drops cups");
  });

  it("lists versions with stage, numbers and descent; what an operator may not do says so", async () => {
    renderApp("/versions", answers({ "GET /api/v1/session": [200, { user: { username: "ann", permissions: [] } }] }));
    const table = await screen.findByRole("table", { name: "Versions" });
    const rows = within(table).getAllByRole("row").slice(1);
    expect(rows.map((row) => within(row).getByRole("link").textContent)).toEqual(["v2", "v1", "v0"]);
    expect(within(rows[1] as HTMLElement).getByText("Current")).toBeDefined();
    const controls = ["Roll back all robots", "Pause", "Promote", "Roll back"].map((name) => screen.getByRole<HTMLButtonElement>("button", { name }));
    for (const { disabled, title } of [...controls, screen.getByLabelText<HTMLSelectElement>("Strategy")])
      expect([disabled, title]).toEqual([true, "Your role does not let you release versions."]);
  });

  it("says what the trials before cost in time and episodes, and why they ended", async () => {
    const bad = { ...ROLLOUT, id: "r-0", state: "rolled_back", is_automatic: true, reason: "Success is 60 points lower.", decided_at: "2026-11-26T10:00:19Z" };
    const fine = { ...bad, id: "r-9", state: "promoted", is_automatic: false, reason: "looks well", episodes: 1, robots: ["arm-3", "arm-4"] };
    renderApp("/versions", answers({ [`GET /api/v1/training-runs/${RUN}/release`]: [200, { ...RELEASE, rollout: null, past: [bad, fine] }] }));
    const trials = await screen.findByRole("region", { name: "Versions that were tried" });
    const [first, second] = within(trials).getAllByRole("listitem");
    expect(first?.textContent).toMatch(/^Rolled backv2 against v1, by itself after 19\ss and 12\sepisodes on 1\srobot.*Success is 60 points lower\.$/);
    expect(second?.textContent).toMatch(/^Promotedv2 against v1, by hand after 19\ss and 1\sepisode on 2\srobots.*looks well$/);
    expect(within(trials).getByRole("link", { name: /^12\sepisodes$/ }).getAttribute("href")).toBe("/episodes?policy_version=v-2&archived=any");
  });

  it("tells a version that robots went back to from one that they were taken off", async () => {
    const event = { id: 1, kind: "roll back", version: "v-2", number: 2, robot_name: "", reason: "worse", at: "2026-11-26T10:00:19Z", by_name: "" };
    const events = [{ ...event, id: 2, kind: "roll back to", version: "v-1", number: 1, by_name: "ann" }, event];
    renderApp("/versions", answers({ [`GET /api/v1/training-runs/${RUN}/release`]: [200, { ...RELEASE, events }] }));
    const history = await screen.findByRole("region", { name: "What was done" });
    const [manual, canary] = within(history).getAllByRole("listitem");
    expect(manual?.textContent).toMatch(/rolled back to v1 by ann: worse$/);
    expect(canary?.textContent).toMatch(/rolled back v2 by the rollout itself: worse$/);
  });

  it("says what a refusal was", async () => {
    renderApp("/versions/v-2", answers({ "POST /api/v1/policy-versions/v-2/stage": [422, { code: "canary_too_small", title: "", detail: "a canary needs two groups", status: 422 }] }));
    fireEvent.click(await screen.findByRole("button", { name: "Try on some robots" }));
    fireEvent.click(screen.getByRole("button", { name: "Try" }));
    expect((await screen.findByRole("alert")).textContent).toContain("a canary needs two groups");
  });

  it("tries a version on the robots with a tag", async () => {
    const { requests } = renderApp("/versions/v-2", answers({ "POST /api/v1/policy-versions/v-2/stage": [200, RELEASE] }));
    fireEvent.click(await screen.findByRole("button", { name: "Try on some robots" }));
    fireEvent.change(screen.getByLabelText(/robots with this tag/), { target: { value: " bench " } });
    fireEvent.click(screen.getByRole("button", { name: "Try" }));
    expect(await screen.findByText("v2 is being tried.")).toBeDefined();
    const sent = requests.find(({ key }) => key.startsWith("POST"))?.body;
    expect(sent).toMatchObject({ strategy: "canary", settings: { share: 0.25, tag: "bench", min_episodes: 20 } });
  });

  it("compares a version with its parent and shows robots that refused it", async () => {
    renderApp("/versions/v-2", answers());
    expect(await screen.findByText("Worse with 99.9 % confidence, n = 9 and 36.")).toBeDefined();
    expect(screen.getByText("untrusted")).toBeDefined();
    expect(screen.getByRole("link", { name: "Download" }).getAttribute("href")).toBe("/api/v1/policy-versions/v-2/download");
  });

  it("keeps a version's page and its comparison when they cannot be read again", async () => {
    const app = renderApp("/versions/v-2", answers());
    await screen.findByText("Worse with 99.9 % confidence, n = 9 and 36.");
    const socket = app.sockets.at(-1);
    act(() => socket?.deliver(1, snapshot()));
    const fails = [500, { code: "internal", title: "", detail: "the server failed", status: 500 }] as const;
    for (const key of Object.keys(app.answers).filter((key) => key.includes("v-2"))) app.answers[key] = fails;
    act(() => socket?.deliver(2, { type: "metrics_changed", server_ms: 0 }));
    expect((await screen.findByText("Not renewed", {}, GIVING_UP)).textContent).toContain("the server failed. Try again");
    expect(screen.getByText("Worse with 99.9 % confidence, n = 9 and 36.")).toBeDefined();
    expect(screen.getByText("untrusted")).toBeDefined();
  });

  it("shows a version to who may neither release nor download it", async () => {
    renderApp("/versions/v-2", answers({ "GET /api/v1/session": signedIn(VIEWER) }));
    const download = await screen.findByRole<HTMLButtonElement>("button", { name: "Download" });
    expect([download.disabled, download.title]).toEqual([true, "Your role does not let you export."]);
    const release = "Your role does not let you release versions.";
    for (const name of ["Promote", "Try on some robots", "Pin arm-3", "Unpin arm-4"]) {
      const button = screen.getByRole<HTMLButtonElement>("button", { name });
      expect([button.disabled, button.title]).toEqual([true, release]);
    }
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Train on from here" }).title).toBe("Your role does not let you start training.");
    expect(within(screen.getByRole("group", { name: release })).getByRole("textbox", { name: "Notes" })).toBeDefined();
  });

  it("says what each robot is pinned to, and offers what is left to do", async () => {
    renderApp("/versions/v-2", answers());
    const rows = within(await screen.findByRole("table", { name: "Deployments" })).getAllByRole("row").slice(1);
    const pins = rows.map((row) => within(row).getAllByRole("cell").at(-1));
    const offers = pins.map((cell) => within(cell as HTMLElement).getAllByRole("button").map((button) => button.textContent));
    expect(offers).toEqual([["Pin"], ["Unpin"], ["Pin", "Unpin"], ["Pin", "Unpin"]]);
    expect(pins[1]?.textContent).toBe("PinnedUnpinvisitors");
    expect(pins[2]?.textContent).toBe("Pinned to v1PinUnpin");
    expect(pins[3]?.textContent).toBe("Pinned to v4 of shelfPinUnpin");
  });

  it("pins, unpins and notes over what was read, and says when somebody was quicker", async () => {
    const newer = { code: "precondition_failed", title: "", detail: "it has revision 9 by now", status: 412 };
    const app = renderApp(
      "/versions/v-2",
      answers({
        "PUT /api/v1/robots/robot-3/pin": [204, null],
        "DELETE /api/v1/robots/robot-4/pin": [412, newer],
        "PUT /api/v1/policy-versions/v-2/notes": [200, { notes: "x" }],
      }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "Pin arm-3" }));
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Pin" }));
    expect(await screen.findByText("arm-3 is pinned.")).toBeDefined();
    fireEvent.click(screen.getByRole("button", { name: "Unpin arm-4" }));
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Remove" }));
    expect((await screen.findByRole("alert")).textContent).toContain("it has revision 9 by now");
    fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Notes" }), { target: { value: "x" } });
    fireEvent.click(screen.getByRole("button", { name: "Save" }));
    expect(await screen.findByText("The notes are kept.")).toBeDefined();
    const sent = app.requests.filter(({ key }) => !key.startsWith("GET")).map(({ ifMatch }) => ifMatch);
    expect(sent).toEqual(['"8"', '"8"', '"3"']);
  });

  it("chooses a strategy over the one that was shown", async () => {
    const { requests } = renderApp("/versions", answers({ [`PUT /api/v1/training-runs/${RUN}/release`]: [200, RELEASE] }));
    fireEvent.change(await screen.findByLabelText("Strategy"), { target: { value: "manual" } });
    fireEvent.click(screen.getByRole("button", { name: "Choose" }));
    expect(await screen.findByText("The strategy is changed.")).toBeDefined();
    expect(requests.find(({ key }) => key.startsWith("PUT"))).toMatchObject({ ifMatch: '"5"', body: { strategy: "manual" } });
  });

  it("draws a second child in a lane of its own", () => {
    const nodes = lanesOf([version(0), version(1), version(2, { parent: "v-0" }), version(3, { parent: "v-1" })]);
    expect(nodes.map(({ lane, parentRow }) => [lane, parentRow])).toEqual([
      [0, 2],
      [1, 3],
      [0, 3],
      [1, null],
    ]);
  });
});
