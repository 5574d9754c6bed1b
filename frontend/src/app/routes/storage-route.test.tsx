import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn } from "@/testing/session-fixtures";

const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const KIND = { kind: "episodes", objects: 30, bytes: 9e6, orphans: 2, orphan_bytes: 2e6, young: 1, removed: 0, removed_bytes: 0, examples: [] };
const STORAGE = {
  by_task: [{ task: "box-close", episodes: 10, bytes: 7e6 }],
  gc_at: ago(60_000),
  gc: { is_dry: true, older_than_s: 86_400, kinds: [KIND], incoming: 1, incoming_bytes: 5 },
  verify_at: ago(3_600_000),
  verify: { scope: "all", episodes: 10, objects: 30, bytes: 9e6, damaged: 1, problems: ["episode e1: front.mp4 is missing"] },
};
const RULE = {
  id: "r1",
  version: "v1",
  task: null,
  task_slug: null,
  kinds: ["aborted"],
  keep_days: 90,
  keep_bytes: null,
  takes_interventions: false,
  is_active: false,
  last_run_at: null,
  removed: 0,
  removed_bytes: 0,
};
const PREVIEW = {
  episodes: 4,
  bytes: 3e6,
  by_task: [{ task: "box-close", episodes: 4, bytes: 3e6 }],
  examples: ["0123456789"],
  protected: { "in a dataset": 2 },
};
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(),
  "GET /api/v1/storage": [200, STORAGE],
  "GET /api/v1/storage/retention-rules": [200, { results: [RULE] }],
  "GET /api/v1/tasks": [200, { results: [{ id: "t1", slug: "box-close" }] }],
  ...change,
});

describe("storage", () => {
  it("shows usage, the last verification and what no row names", async () => {
    renderApp("/settings/storage", answers());
    const usage = within(await screen.findByRole("table", { name: "Episodes by task" }));
    expect(usage.getByText("box-close")).toBeTruthy();
    expect(screen.getByText("1 damaged; the learner leaves these episodes out.")).toBeTruthy();
    expect(screen.getByText("episode e1: front.mp4 is missing")).toBeTruthy();
    expect(within(screen.getByRole("table", { name: "Objects by kind" })).getByText("30")).toBeTruthy();
  });

  it("removes garbage only after it asked", async () => {
    const app = renderApp("/settings/storage", answers({ "POST /api/v1/storage/collect": [202, { delete: true }] }));
    fireEvent.click(await screen.findByRole("button", { name: "Remove garbage" }));
    expect(app.requests.some((each) => each.key.startsWith("POST"))).toBe(false);
    fireEvent.click(screen.getByRole("button", { name: /^Remove 3\sobjects$/ }));
    await waitFor(() => expect(app.requests.find((each) => each.key === "POST /api/v1/storage/collect")?.body).toEqual({ delete: true }));
    expect(await screen.findByRole("button", { name: "Looking …" })).toBeTruthy();
  });

  it("saves a rule only after its preview was seen", async () => {
    const app = renderApp(
      "/settings/storage",
      answers({
        "POST /api/v1/storage/retention-rules/preview": [200, PREVIEW],
        "POST /api/v1/storage/retention-rules": [201, { ...RULE, id: "r2" }],
      }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "New rule" }));
    expect(screen.queryByRole("button", { name: "Save the rule" })).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Preview" }));
    const preview = within(await screen.findByRole("region", { name: "Preview" }));
    expect(preview.getByText(/^Now 4 episodes would go/)).toBeTruthy();
    expect(preview.getByText("Old or many enough, yet kept: 2 in a dataset.")).toBeTruthy();
    fireEvent.change(screen.getByRole("spinbutton", { name: "Kept for (days)" }), { target: { value: "30" } });
    expect(screen.queryByRole("region", { name: "Preview" })).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Preview" }));
    fireEvent.click(await screen.findByRole("button", { name: "Save the rule" }));
    await waitFor(() =>
      expect(app.requests.find((each) => each.key === "POST /api/v1/storage/retention-rules")?.body).toEqual({
        task: null,
        kinds: ["failures", "aborted"],
        keep_days: 30,
        keep_bytes: null,
        takes_interventions: false,
      }),
    );
  });

  it("turns a rule on only after it asked", async () => {
    const app = renderApp("/settings/storage", answers({ "PATCH /api/v1/storage/retention-rules/r1": [200, { ...RULE, is_active: true }] }));
    fireEvent.click(await screen.findByRole("button", { name: "Turn the rule for all other tasks on" }));
    fireEvent.click(screen.getByRole("button", { name: "Turn it on" }));
    await waitFor(() => expect(app.requests.find((each) => each.key.startsWith("PATCH"))?.body).toEqual({ is_active: true }));
    expect(app.requests.find((each) => each.key.startsWith("PATCH"))?.ifMatch).toBe('"v1"');
  });

  it("says that somebody changed a rule meanwhile", async () => {
    const late = { code: "precondition_failed", title: "", detail: "read it again", status: 412 };
    const app = renderApp("/settings/storage", answers({ "DELETE /api/v1/storage/retention-rules/r1": [412, late] }));
    fireEvent.click(await screen.findByRole("button", { name: "Forget the rule for all other tasks" }));
    fireEvent.click(screen.getByRole("button", { name: "Forget the rule" }));
    expect(await screen.findByText(/The rule was not changed. Somebody changed it meanwhile/)).toBeTruthy();
    expect(app.requests.find((each) => each.key.startsWith("DELETE"))?.ifMatch).toBe('"v1"');
  });
});
