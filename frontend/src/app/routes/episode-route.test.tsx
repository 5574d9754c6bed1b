import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";

import type { Recording } from "@/features/episodes/api/episodes";
import { episodeDetail } from "@/testing/episode-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn, VIEWER } from "@/testing/session-fixtures";

// jsdom has no canvas and plays nothing; what is drawn and played is looked at in a browser.
vi.mock("uplot", () => ({
  default: class {
    over = document.createElement("div");
    setSize() {}
    redraw() {}
    destroy() {}
  },
}));

const steps = (value: number) => Array.from({ length: 100 }, (_, frame) => value * frame);
const STEPS = {
  stride: 1,
  frame: steps(1),
  asked: [steps(0.01), steps(0.02)],
  applied: [steps(0.03), steps(0.04)],
  proposed: [steps(0.05).map((value, frame) => (frame < 50 ? value : null)), steps(0.06)],
  reward: steps(0),
  success: steps(0).map(() => false),
};
const REVISIONS = [
  { revision: 1, outcome: "failure", outcome_source: "person", outcome_reason: "", tags: [], comment: "", is_archived: false, at: "2026-11-23T10:00:00Z", by_name: "bea", undoes: null },
  { revision: 0, outcome: "success", outcome_source: "environment", outcome_reason: "", tags: [], comment: "", is_archived: false, at: "2026-11-23T09:00:00Z", by_name: "", undoes: null },
];
const PATH = "/api/v1/episodes/e1";

const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(),
  [`GET ${PATH}`]: [200, episodeDetail()],
  [`GET ${PATH}/steps`]: [200, STEPS],
  [`GET ${PATH}/label/history`]: [200, { revisions: [] }],
  ...change,
});

let played: HTMLMediaElement[] = [];

beforeEach(() => {
  played = [];
  vi.spyOn(HTMLMediaElement.prototype, "play").mockImplementation(function play(this: HTMLMediaElement) {
    played.push(this);
    return Promise.resolve();
  });
  vi.spyOn(HTMLMediaElement.prototype, "pause").mockImplementation(() => undefined);
});

async function open(search = "", change: Record<string, Answer> = {}) {
  const app = renderApp(`/episodes/e1${search}`, answers(change));
  await screen.findByRole("slider", { name: "Timeline" });
  await screen.findByRole("figure", { name: "gripper over steps" });
  return { ...app, asked: (key: string) => app.requests.filter((request) => request.key === key) };
}

const at = () => screen.getByRole("slider", { name: "Timeline" }).getAttribute("aria-valuetext");
const press = (key: string, options: Partial<KeyboardEventInit> = {}) => fireEvent.keyDown(document.body, { key, ...options });
const times = () => ["Camera front", "Camera wrist"].map((name) => screen.getByLabelText<HTMLVideoElement>(name).currentTime);

describe("page of an episode", () => {
  it("steps all cameras and all charts by frames with the keyboard", async () => {
    await open();
    expect(at()).toBe("step 0, Policy");
    press("ArrowRight");
    press("ArrowRight", { shiftKey: true });
    expect(at()).toBe("step 11, Policy");
    expect(times()).toEqual([1.15, 1.15]);
    const chart = within(screen.getByRole("figure", { name: "x over steps" }));
    expect(chart.getAllByRole("definition").map((value) => value.textContent)).toEqual(["0.110", "0.330", "0.550"]);
    press("End");
    expect(at()).toBe("step 99, Person");
    expect(chart.getAllByRole("definition")[2]?.textContent).toBe("–");
    press("ArrowRight");
    expect(at()).toBe("step 99, Person");
  });

  it("goes from takeover to takeover", async () => {
    await open();
    press("n");
    expect(at()).toBe("step 30, Person");
    press("n");
    expect(at()).toBe("step 80, Person");
    press("n");
    expect(at()).toBe("step 80, Person");
    press("p");
    expect(at()).toBe("step 30, Person");
    fireEvent.click(screen.getByRole("button", { name: /^Go to steps 50–79$/ }));
    expect(at()).toBe("step 50, Policy");
  });

  it("plays all cameras at the chosen speed", async () => {
    await open();
    fireEvent.change(screen.getByRole("combobox", { name: "Speed" }), { target: { value: "2" } });
    press(" ");
    expect(screen.getByRole("button", { name: "Pause" })).toBeTruthy();
    expect(played.map((video) => [video.getAttribute("aria-label"), video.playbackRate])).toEqual([
      ["Camera front", 2],
      ["Camera wrist", 2],
    ]);
    await waitFor(() => expect(at()).not.toBe("step 0, Policy"));
    press(" ");
    expect(screen.getByRole("button", { name: "Play" })).toBeTruthy();
  });

  it("leaves keys to fields", async () => {
    await open();
    const reason = screen.getByRole("textbox", { name: "Comment" });
    fireEvent.keyDown(reason, { key: "n" });
    fireEvent.keyDown(reason, { key: " " });
    expect([at(), played]).toEqual(["step 0, Policy", []]);
  });

  it("opens at the frame of the link and keeps it in the URL", async () => {
    const { router } = await open("?frame=42");
    expect(at()).toBe("step 42, Person");
    press("ArrowRight");
    await waitFor(() => expect(router.state.location.search).toBe("?frame=43"));
    act(() => void press("Home"));
    await waitFor(() => expect(router.state.location.search).toBe(""));
  });

  it.each(["?frame=100000", "?frame=-3", "?frame=x"])("survives a made-up frame (%s)", async (search) => {
    await open(search);
    expect(["step 0, Policy", "step 99, Person"]).toContain(at());
  });

  it("saves only what was touched, over the revision that was read, and takes it back", async () => {
    const { asked } = await open("", {
      [`GET ${PATH}`]: [200, episodeDetail({ label_revision: 3 })],
      [`PATCH ${PATH}/label`]: [200, { revision: 4 }],
      [`POST ${PATH}/label/undo`]: [200, { revision: 5 }],
    });
    const save = screen.getByRole<HTMLButtonElement>("button", { name: "Save label" });
    expect(save.disabled).toBe(true);
    fireEvent.click(screen.getByRole("radio", { name: "Failure" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Reason" }), { target: { value: "lid fell" } });
    const tags = screen.getByRole("textbox", { name: "Tags" });
    fireEvent.change(tags, { target: { value: " night " } });
    fireEvent.keyDown(tags, { key: "Enter" });
    fireEvent.click(save);
    expect(await screen.findByText("The label is saved.")).toBeTruthy();
    expect(asked(`PATCH ${PATH}/label`)[0]?.body).toEqual({ outcome: "failure", outcome_reason: "lid fell", tags: ["blurred", "night"] });
    fireEvent.click(screen.getByRole("button", { name: "Undo" }));
    expect(await screen.findByText("The label was taken back.")).toBeTruthy();
  });

  it("keeps the draft when somebody was quicker", async () => {
    const problem = { code: "precondition_failed", title: "Precondition Failed", detail: "Newer.", status: 412 };
    const { answers: live } = await open("", { [`PATCH ${PATH}/label`]: [412, problem] });
    const comment = screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Comment" });
    fireEvent.change(comment, { target: { value: "slipped" } });
    live[`GET ${PATH}`] = [200, episodeDetail({ label_revision: 1, tags: ["theirs"] })];
    fireEvent.click(screen.getByRole("button", { name: "Save label" }));
    expect((await screen.findByRole("alert")).textContent).toMatch(/^Somebody labelled this episode meanwhile/);
    expect(await screen.findByRole("button", { name: "Remove theirs" })).toBeTruthy();
    expect(comment.value).toBe("slipped");
  });

  it("shows the label to who may not change it", async () => {
    await open("", { "GET /api/v1/session": signedIn(VIEWER) });
    const save = screen.getByRole("button", { name: "Save label" });
    expect(save.closest("fieldset:disabled")).not.toBeNull();
    expect(screen.getByRole("group", { name: "Your role does not let you label episodes." })).toBeTruthy();
  });

  it("shows what was said before", async () => {
    await open("", { [`GET ${PATH}/label/history`]: [200, { revisions: REVISIONS }] });
    expect((await screen.findByText("History")).closest("details")?.textContent).toMatch(/bea.*Failure.*recorded.*Success/);
  });

  it("shows value and advantage where the run has derived them", async () => {
    const columns = { value: steps(-0.01), advantage: steps(0.001), indicator: steps(0) };
    await open("?frame=10", {
      [`GET ${PATH}`]: [200, episodeDetail({ has_sidecar: true })],
      "GET /api/v1/training-runs/run1/episodes/e1/sidecar": [200, { columns }],
    });
    const value = within(await screen.findByRole("figure", { name: "Value over steps" }));
    expect(value.getByRole("definition").textContent).toBe("-0.100");
    expect(screen.getByRole("figure", { name: "Advantage over steps" })).toBeTruthy();
    expect(screen.queryByRole("figure", { name: /indicator/ })).toBeNull();
  });

  it("asks for nothing that the run has not derived yet", async () => {
    const app = await open("");
    await screen.findByRole("region", { name: "Steps" });
    expect(app.requests.filter(({ key }) => key.endsWith("/sidecar"))).toEqual([]);
  });

  it("says what is missing and shows the rest", async () => {
    const problem = { code: "object_missing", title: "Not Found", detail: "there is no object", status: 404 };
    renderApp(
      "/episodes/e1",
      answers({
        [`GET ${PATH}`]: [200, episodeDetail({ recording: null, recording_problem: problem })],
        [`GET ${PATH}/steps`]: [404, problem],
      }),
    );
    expect(await screen.findByText("Its recording cannot be read")).toBeTruthy();
    expect(await screen.findByText("The steps could not be read")).toBeTruthy();
    press("n");
    expect(at()).toBe("step 30, Person");
    expect(screen.getByRole("radio", { name: "As recorded" })).toBeTruthy();
  });

  it("shows what the robot was calibrated to, and what the store lost", async () => {
    const calibration = { document: '{"front":{"focal_px":[610.5,611]}}', sha256: "ab".repeat(32) };
    const recording = { ...(episodeDetail().recording as Recording), calibration };
    renderApp("/episodes/e1", answers({ [`GET ${PATH}`]: [200, episodeDetail({ recording, damage: "front.mp4 is missing" })] }));
    expect((await screen.findByLabelText("Calibration")).textContent).toContain('"focal_px": [\n      610.5,');
    expect(screen.getByText("abababababab")).toBeTruthy();
    expect(screen.getByText(/learner leaves it out: front.mp4 is missing/)).toBeTruthy();
  });

  it("says that a video cannot be played", async () => {
    await open();
    fireEvent.error(screen.getByLabelText("Camera wrist"));
    expect(screen.getByText("This video cannot be played.")).toBeTruthy();
    press("ArrowRight");
    expect(screen.getByLabelText<HTMLVideoElement>("Camera front").currentTime).toBe(0.15);
  });

  it("says when there is no such episode", async () => {
    const problem = { code: "not_found", title: "Not Found", detail: "", status: 404 };
    renderApp("/episodes/e1", answers({ [`GET ${PATH}`]: [404, problem] }));
    expect(await screen.findByText("There is no such episode")).toBeTruthy();
    expect(screen.getByRole("link", { name: "See all episodes" }).getAttribute("href")).toBe("/episodes");
  });
});
