import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn, VIEWER } from "@/testing/session-fixtures";

const ROW = {
  id: "i1",
  name: "pusht",
  folder: "",
  archive_bytes: 1_200_000,
  state: "checked",
  phase: "",
  progress: 0,
  progress_total: 0,
  left_out: 0,
  registered: null,
  known: 0,
  tag: "import-1a2b3c4d",
  mapping_revision: 1,
  error_code: "",
  error_message: "",
  requested_by_name: "mara",
  created_at: "2026-11-26T10:00:00Z",
};
const REPORT = {
  version: "v2.1",
  fps: 30,
  episodes: 3,
  frames: 300,
  sound: 2,
  tasks: { "push the T": 3 },
  cameras: [{ feature: "observation.images.top", width: 96, height: 96, codec: "av1", copied: 3, encoded: 0 }],
  features: [
    { name: "observation.state", dtype: "float32", shape: [2] },
    { name: "action", dtype: "float32", shape: [2] },
    { name: "next.reward", dtype: "float32", shape: [1] },
    { name: "extra", dtype: "float32", shape: [4] },
  ],
  problems: [
    { code: "value_not_finite", feature: "action", message: "the column holds NaN or infinity", count: 120, examples: [{ episode: 1, frame: 4, detail: "" }] },
    { code: "shape_wrong", feature: "extra", message: "the column has another shape", count: 1, examples: [] },
  ],
  is_own: false,
  outcome_columns: ["success"],
};
const MAPPING = {
  state: ["observation.state"],
  action: "action",
  cameras: { "observation.images.top": { name: "top", width: 96, height: 96 } },
  tasks: { "push the T": "push-the-t" },
  outcome: { source: "episode", column: "success", same: "success" },
  intervention: "",
  reward: "next.reward",
  keep_every: 1,
  is_own: false,
  leave_out_broken: false,
};
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(),
  "GET /api/v1/imports": [200, { results: [ROW] }],
  "GET /api/v1/imports/options": [200, { roots: ["/data/sets"], archive_bytes: 5_000_000_000 }],
  "GET /api/v1/imports/i1": [200, { ...ROW, report: REPORT }],
  "GET /api/v1/imports/i1/mapping": [200, { revision: 1, mapping: MAPPING, misfits: [] }],
  "POST /api/v1/imports/i1/mapping/check": [200, { misfits: [] }],
  ...change,
});

describe("Imports", () => {
  it("lists them and hands a folder of the server in", async () => {
    const app = renderApp(
      "/datasets/imports",
      answers({ "POST /api/v1/imports": [201, { id: "i1", upload: null }], "POST /api/v1/imports/i1/check": [202, { ...ROW, state: "checking", report: null }] }),
    );
    expect(await screen.findByRole("link", { name: "pusht" })).toBeTruthy();
    fireEvent.click(await screen.findByRole("tab", { name: "Folder on the server" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Folder" }), { target: { value: "/data/sets/pusht" } });
    fireEvent.click(screen.getByRole("button", { name: "Check the folder" }));
    await waitFor(() => expect(app.router.state.location.pathname).toBe("/datasets/imports/i1"));
    const sent = app.requests.find((request) => request.key === "POST /api/v1/imports")?.body;
    expect(sent).toEqual({ name: "pusht", folder: "/data/sets/pusht" });
  });

  it("says why a dataset was not taken, and cancels what was begun", async () => {
    const problem = { code: "folder_refused", title: "Unprocessable", detail: "there is no such folder", status: 422 };
    renderApp("/datasets/imports", answers({ "POST /api/v1/imports": [422, problem] }));
    fireEvent.click(await screen.findByRole("tab", { name: "Folder on the server" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Folder" }), { target: { value: "/etc" } });
    fireEvent.click(screen.getByRole("button", { name: "Check the folder" }));
    expect(await screen.findByText("there is no such folder")).toBeTruthy();
  });

  it("shows nothing to send to who may not import", async () => {
    renderApp("/datasets/imports", answers({ "GET /api/v1/imports/options": [403, {}] }));
    expect(await screen.findByRole("link", { name: "pusht" })).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Send and check" })).toBeNull();
  });
});

describe("An import", () => {
  it("shows an import to who may only look", async () => {
    renderApp("/datasets/imports/i1", answers({ "GET /api/v1/session": signedIn(VIEWER) }));
    const cancel = await screen.findByRole<HTMLButtonElement>("button", { name: "Cancel the import" });
    expect([cancel.disabled, cancel.title]).toEqual([true, "Your role does not let you import."]);
    expect(screen.queryByRole("form", { name: "Mapping" })).toBeNull();
  });

  it("groups problems by what the mapping reads, and runs once the broken episodes are left out", async () => {
    const app = renderApp(
      "/datasets/imports/i1",
      answers({
        "PUT /api/v1/imports/i1/mapping": [200, { revision: 2, mapping: { ...MAPPING, leave_out_broken: true }, misfits: [] }],
        "POST /api/v1/imports/i1/run": [202, { ...ROW, state: "running", phase: "converting", progress: 1, progress_total: 3, report: REPORT }],
      }),
    );
    const used = within(await screen.findByRole("region", { name: /1\skind of problems/ }));
    expect(used.getByText(/NaN or infinity/)).toBeTruthy();
    expect(used.getByText("and 119 more")).toBeTruthy();
    expect(within(screen.getByRole("region", { name: /does not read/ })).getByText(/another shape/)).toBeTruthy();
    expect(screen.getByText(/Not yet: 120\sproblems/)).toBeTruthy();
    const run = () => screen.getByRole<HTMLButtonElement>("button", { name: /^Import/ });
    expect(run().disabled).toBe(true);
    fireEvent.click(screen.getByRole("checkbox", { name: /Leave out 1\sepisode/ }));
    await waitFor(() => expect(run().disabled).toBe(false));
    expect(run().textContent).toMatch(/Import 2\sepisodes/);
    fireEvent.click(run());
    expect(await screen.findByText("Converting episodes, 1 of 3")).toBeTruthy();
    const put = app.requests.find((request) => request.key.startsWith("PUT"))?.body;
    expect(put).toEqual({ ...MAPPING, leave_out_broken: true });
    expect(app.requests.find((request) => request.key.endsWith("/run"))?.body).toEqual({ revision: 2 });
  });

  it("says what does not fit beside its field", async () => {
    const misfits = [{ field: "tasks.push the T", message: "name a task" }];
    renderApp("/datasets/imports/i1", answers({ "POST /api/v1/imports/i1/mapping/check": [200, { misfits }] }));
    fireEvent.change(await screen.findByRole("textbox", { name: "task of push the T" }), { target: { value: "Push It" } });
    expect(await screen.findByText("name a task")).toBeTruthy();
    expect(screen.getByText(/Not yet: 1\sfield/)).toBeTruthy();
  });

  it("links what is done to the library", async () => {
    renderApp(
      "/datasets/imports/i1",
      answers({ "GET /api/v1/imports/i1": [200, { ...ROW, state: "done", registered: 2, left_out: 1, known: 0, report: REPORT }] }),
    );
    const link = await screen.findByRole("link", { name: "See them in the library" });
    expect(link.getAttribute("href")).toBe("/episodes?tag=import-1a2b3c4d");
    expect(screen.getByText("1 left out")).toBeTruthy();
  });

  it("says why it failed", async () => {
    const failed = { ...ROW, state: "failed", error_code: "archive_refused", error_message: "the archive is empty", report: null };
    renderApp("/datasets/imports/i1", answers({ "GET /api/v1/imports/i1": [200, failed] }));
    expect(await screen.findByText(/the archive is empty/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Cancel the import" })).toBeNull();
  });
});
