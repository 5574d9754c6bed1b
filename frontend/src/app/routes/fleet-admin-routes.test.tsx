import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { PROTOCOL_VERSION } from "@/protocol/generated";
import { type Answer, renderApp } from "@/testing/render-app";

const TASK = {
  id: "t1",
  slug: "stack",
  instruction: "stack it",
  success_definition: "",
  driver_task: "stack-v1",
  max_steps: 250,
  target_rate: 0.8,
  is_active: true,
  revision: 3,
};
const ROBOT = {
  id: "r1",
  name: "left arm",
  is_paused: false,
  driver: { name: "metaworld" },
  daemon_version: "0.1.0",
  protocol: PROTOCOL_VERSION,
  enrolled_at: "2026-11-26T09:00:00Z",
  last_seen_at: null,
  tags: ["lab"],
  note: "",
  is_approved: true,
  retired_at: null,
  revision: 1,
};
const WORK = { version: "w1", task: "stack", weight: 1, priority: 0, windows: [], time_zone: "UTC", is_active: true, problem: null };
const BOARD = {
  robots: [
    { id: "r1", name: "left arm", tags: ["lab"], is_online: true, can: ["stack", "close"], problem: null, assignments: [WORK] },
    {
      id: "r2",
      name: "right arm",
      tags: [],
      is_online: false,
      can: ["stack"],
      problem: { code: "offline", text: "Not connected." },
      assignments: [],
    },
  ],
  tasks: [
    { id: "t1", slug: "stack", instruction: "stack it", success: { successes: 3, n: 4, rate: 0.75, low: 0.3, high: 0.95 } },
    { id: "t2", slug: "close", instruction: "close it", success: null },
  ],
  suggestions: [{ task: "close", robot: "r1", robot_name: "left arm", text: "close has no episode: give it left arm." }],
};

const answers = (permissions: readonly string[], change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", is_staff: true, permissions } }],
  "GET /api/v1/tasks": [200, { results: [TASK] }],
  "GET /api/v1/robots": [200, { results: [ROBOT, { ...ROBOT, id: "r9", name: "newcomer", is_approved: false }] }],
  "GET /api/v1/enrolment-codes": [200, { results: [] }],
  "GET /api/v1/assignments": [200, BOARD],
  ...change,
});

describe("tasks", () => {
  it("says who changed a task meanwhile", async () => {
    const problem = { code: "precondition_failed", title: "Precondition Failed", detail: "revision 4", status: 412 };
    const wordings = { results: [] };
    const app = renderApp(
      "/settings/tasks",
      answers(["edit_tasks"], { "PATCH /api/v1/tasks/t1": [412, problem], "GET /api/v1/tasks/t1/wordings": [200, wordings] }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "Change stack" }));
    fireEvent.change(screen.getByLabelText("Goal of the success rate, %"), { target: { value: "95" } });
    fireEvent.click(screen.getByRole("button", { name: "Save" }));
    expect((await screen.findByRole("alert")).textContent).toContain("Somebody changed this task meanwhile");
    const sent = app.requests.find((request) => request.key === "PATCH /api/v1/tasks/t1");
    expect(sent?.body).toMatchObject({ instruction: "stack it", target_rate: 0.95 });
  });

  it("only shows them to who may not change them", async () => {
    renderApp("/settings/tasks", answers([]));
    const change = await screen.findByRole<HTMLButtonElement>("button", { name: "Change stack" });
    expect(change.disabled).toBe(true);
    const define = screen.getByRole<HTMLButtonElement>("button", { name: "Define a task" });
    expect([define.disabled, define.title]).toEqual([true, "Your role does not let you change tasks."]);
  });
});

describe("robots", () => {
  it.each([
    [PROTOCOL_VERSION, null],
    [null, null],
    [PROTOCOL_VERSION - 1, `Protocol ${PROTOCOL_VERSION - 1}, upgrade the robot soon`],
    [PROTOCOL_VERSION - 2, `Refused: protocol ${PROTOCOL_VERSION - 2}, upgrade the robot`],
    [PROTOCOL_VERSION + 1, `Refused: protocol ${PROTOCOL_VERSION + 1}, upgrade the server`],
  ])("says what becomes of a robot that speaks protocol %s", async (protocol, said) => {
    renderApp("/settings/robots", answers([], { "GET /api/v1/robots": [200, { results: [{ ...ROBOT, protocol }] }] }));
    await screen.findByText("left arm");
    expect(screen.queryByText(/rotocol \d/)?.textContent ?? null).toBe(said);
  });

  it("makes a code and shows it once", async () => {
    const code = {
      id: "c1",
      note: "",
      created_at: "2026-11-26T09:00:00Z",
      expires_at: "2026-11-26T10:00:00Z",
      used_at: null,
      used_by: null,
      revoked_at: null,
      needs_approval: true,
      robot: null,
      code: "sop-secret",
      command: "python -m fleet.daemon --token=sop-secret",
      qr: "data:image/svg+xml,x",
    };
    const app = renderApp("/settings/robots", answers(["enrol_robots"], { "POST /api/v1/enrolment-codes": [201, code] }));
    fireEvent.click(await screen.findByRole("button", { name: "Enrol a robot" }));
    fireEvent.click(screen.getByRole("button", { name: "Make a code" }));
    expect(await screen.findByText("python -m fleet.daemon --token=sop-secret")).toBeTruthy();
    expect(screen.getByRole("img", { name: "The code as a QR picture" })).toBeTruthy();
    const sent = app.requests.find((request) => request.key === "POST /api/v1/enrolment-codes");
    expect(sent?.body).toEqual({ note: "", valid_s: 3600, needs_approval: true, robot: null });
  });

  it("lets a manager change a robot, and leaves enrolling to admins", async () => {
    renderApp("/settings/robots", answers(["edit_robots"]));
    const named = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
    await screen.findByRole("button", { name: "Change left arm" });
    for (const name of ["Change left arm", "Pause: left arm"]) expect(named(name).disabled).toBe(false);
    for (const name of ["Enrol a robot", "New key for left arm", "Retire left arm", "Approve"]) {
      expect([named(name).disabled, named(name).title]).toEqual([true, "Your role does not let you enrol and retire robots."]);
    }
  });

  it("approves who waits", async () => {
    const app = renderApp("/settings/robots", answers(["enrol_robots"], { "POST /api/v1/robots/r9/approve": [204, null] }));
    const waiting = within(await screen.findByRole("region", { name: /waiting for approval/ }));
    fireEvent.click(waiting.getByRole("button", { name: "Approve" }));
    expect(await screen.findByText("newcomer may work now.")).toBeTruthy();
    expect(app.requests.some((request) => request.key === "POST /api/v1/robots/r9/approve")).toBe(true);
  });
});

describe("the assignment board", () => {
  it("gives work by a cell, with its hours", async () => {
    const app = renderApp("/settings/assignments", answers(["assign"], { "PUT /api/v1/assignments/r1/t2": [200, {}] }));
    fireEvent.click(await screen.findByRole("button", { name: "left arm, close: no work" }));
    fireEvent.click(screen.getByRole("button", { name: "Add hours" }));
    fireEvent.click(screen.getByRole("button", { name: "Assign" }));
    await waitFor(() => expect(app.requests.some((request) => request.key === "PUT /api/v1/assignments/r1/t2")).toBe(true));
    const sent = app.requests.find((request) => request.key === "PUT /api/v1/assignments/r1/t2");
    expect(sent?.ifMatch).toBe('"none"');
    expect(sent?.body).toMatchObject({ weight: 1, priority: 0, windows: [{ days: [0, 1, 2, 3, 4], from: "09:00", until: "17:00" }] });
  });

  it("moves work by dragging its chip, and bars what a driver cannot do", async () => {
    const app = renderApp(
      "/settings/assignments",
      answers(["assign"], { "PUT /api/v1/assignments/r2/t1": [200, {}], "DELETE /api/v1/assignments/r1/t1": [204, null] }),
    );
    const chip = await screen.findByRole("button", { name: /^left arm, stack: works at it, 100/ });
    const barred = screen.getByRole<HTMLButtonElement>("button", { name: "right arm, close: cannot, its driver does not offer it" });
    expect(barred.disabled).toBe(true);
    const dataTransfer = { effectAllowed: "", dropEffect: "", setData: () => undefined };
    fireEvent.dragStart(chip, { dataTransfer });
    fireEvent.drop(screen.getByRole("button", { name: "right arm, stack: no work" }), { dataTransfer });
    expect(await screen.findByText("right arm works at stack.")).toBeTruthy();
    expect(app.requests.filter(({ key }) => /PUT|DELETE/.test(key)).map(({ key, ifMatch }) => [key, ifMatch])).toEqual([
      ["PUT /api/v1/assignments/r2/t1", '"none"'],
      ["DELETE /api/v1/assignments/r1/t1", '"w1"'],
    ]);
  });

  it("says that somebody changed the work meanwhile", async () => {
    const late = { code: "precondition_failed", title: "", detail: "read it again", status: 412 };
    renderApp("/settings/assignments", answers(["assign"], { "PUT /api/v1/assignments/r1/t2": [412, late] }));
    fireEvent.click(await screen.findByRole("button", { name: "Assign left arm to close" }));
    expect(await screen.findByText(/Somebody changed this work meanwhile/)).toBeTruthy();
  });

  it("goes from cell to cell by arrow keys and takes a suggestion", async () => {
    const app = renderApp("/settings/assignments", answers(["assign"], { "PUT /api/v1/assignments/r1/t2": [200, {}] }));
    const chip = await screen.findByRole("button", { name: /^left arm, stack/ });
    chip.focus();
    fireEvent.keyDown(chip, { key: "ArrowRight" });
    expect(document.activeElement?.getAttribute("aria-label")).toBe("left arm, close: no work");
    fireEvent.click(screen.getByRole("button", { name: "Assign left arm to close" }));
    await waitFor(() => expect(app.requests.some((request) => request.key === "PUT /api/v1/assignments/r1/t2")).toBe(true));
  });

  it("only shows the board to who may not assign, and says why", async () => {
    renderApp("/settings/assignments", answers([]));
    await screen.findByRole("button", { name: /^left arm, stack/ });
    const refusal = "Your role does not let you assign tasks.";
    expect(screen.getByText(refusal)).toBeDefined();
    for (const name of [/^left arm, stack/, "left arm, close: no work", "Assign left arm to close"]) {
      const control = screen.getByRole<HTMLButtonElement>("button", { name });
      expect([control.disabled, control.title]).toEqual([true, refusal]);
    }
  });
});
