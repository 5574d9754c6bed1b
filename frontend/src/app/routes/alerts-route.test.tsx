import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import axe from "axe-core";
import { describe, expect, it, vi } from "vitest";

import { robot, snapshot } from "@/testing/fleet-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";

vi.mock("uplot", () => ({ default: class { setData() {} setSize() {} destroy() {} } }));

const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const ALERT = {
  id: "a1",
  rule: "r1",
  rule_name: "Robot offline",
  kind: "offline",
  severity: "critical",
  subject_kind: "robot",
  subject_id: "b1",
  subject_name: "arm-1",
  opened_at: ago(600_000),
  last_seen_at: ago(1000),
  resolved_at: null,
  resolution: "",
  unit: "s",
  value: 900,
  low: null,
  high: null,
  n: 0,
  text: "arm-1 has been offline for 15 min; the limit is 5 min.",
  resolved_text: "",
  told_at: ago(600_000),
  acknowledged_at: null,
  acknowledged_by_name: "",
  note: "",
};
const SLOW = {
  ...ALERT,
  id: "a2",
  rule_name: "Success below 50 %",
  severity: "warning",
  subject_kind: "task",
  subject_id: "t1",
  subject_name: "box-close",
  text: "Success rate of task box-close over the last 24 h is 30 % [18.1 %, 45.4 %], n = 40; the limit is 50 %.",
  told_at: null,
};
const OVER = { ...SLOW, id: "a3", resolved_at: ago(60_000), resolution: "recovered", resolved_text: "It is over, after 9 min." };
const RULE = {
  id: "r1",
  name: "Robot offline",
  kind: "offline",
  params: { after_s: 300 },
  tasks: [],
  robots: [],
  severity: "critical",
  is_enabled: true,
  clear_after_s: 60,
  silences: [{ kind: "weekly", days: [5, 6], from: "22:00", until: "06:00" }],
  time_zone: "Europe/Berlin",
  channels: ["mail"],
  mail_to: ["ann@lab.example"],
  created_at: ago(1e9),
  evaluated_at: ago(5000),
  revision: 3,
};
const open = (results: readonly unknown[], unacknowledged = results.length): Answer => [200, { results, total: results.length, unacknowledged }];

function answers(change: Record<string, Answer> = {}, permissions = ["see", "acknowledge_alerts", "edit_alerts"]): Record<string, Answer> {
  return {
    "GET /api/v1/session": [200, { user: { username: "mara", permissions } }],
    "GET /api/v1/alerts/open": open([SLOW, ALERT]),
    "GET /api/v1/alerts": [200, { results: [OVER], next: null, previous: null }],
    "GET /api/v1/alert-rules": [200, { results: [RULE], is_mail_set_up: true }],
    "GET /api/v1/tasks": [200, { results: [{ id: "t1", slug: "box-close", is_active: true }] }],
    "GET /api/v1/robots": [200, { results: [{ id: "b1", name: "arm-1", retired_at: null }] }],
    ...change,
  };
}

describe("alerts", () => {
  it("shows the worst open alert first, each with its subject, and what is over", async () => {
    renderApp("/alerts", answers());
    const rows = within(await screen.findByRole("table", { name: "Open alerts" })).getAllByRole("row");
    expect(rows[1]?.textContent).toContain("critical");
    expect(rows[2]?.textContent).toContain("silent now, nobody was told");
    expect(screen.getByRole("link", { name: "arm-1" }).getAttribute("href")).toBe("/teleop/b1");
    const past = within(await screen.findByRole("table", { name: "Resolved alerts" }));
    expect(past.getByText("It is over, after 9 min.")).toBeTruthy();
    expect(past.getByRole("link", { name: "box-close" }).getAttribute("href")).toBe("/reports?task=box-close");
    expect(within(screen.getByRole("navigation", { name: "Main" })).getByRole("link", { name: /Alerts 2/ })).toBeTruthy();
  });

  it("acknowledges with a note", async () => {
    const app = renderApp("/alerts", answers({ "POST /api/v1/alerts/a1/acknowledge": [200, { ...ALERT, acknowledged_at: ago(0) }] }));
    fireEvent.click(await screen.findByRole("button", { name: "Acknowledge Robot offline, arm-1" }));
    fireEvent.change(screen.getByRole("textbox", { name: /^Note/ }), { target: { value: "the cable" } });
    fireEvent.click(screen.getByRole("button", { name: "I look after it" }));
    await waitFor(() =>
      expect(app.requests.find((each) => each.key.startsWith("POST"))?.body).toEqual({ note: "the cable" }),
    );
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  });

  it("lists each rule with its limit", async () => {
    const params: Readonly<Record<string, unknown>> = {
      rate: { measure: "unaided", by: "task", threshold: 0.5, window_s: 86_400, min_n: 30, interval: "wilson" },
      offline: { after_s: 300 },
      backlog: { above: 20, by: "robot" },
      stall: { after_s: 75 },
      staleness: { span: "staleness_s", quantile: "p50", above: 3600, window_s: 172_800, min_n: 20 },
      refusals: { above: 1, window_s: 5400 },
    };
    const rules = Object.entries(params).map(([kind, each]) => ({ ...RULE, id: kind, name: kind, kind, params: each }));
    renderApp("/alerts?view=rules", answers({ "GET /api/v1/alert-rules": [200, { results: rules, is_mail_set_up: true }] }));
    const rows = within(await screen.findByRole("table", { name: "Alert rules" })).getAllByRole("row").slice(1);
    const texts = rows.map((row) => within(row).getAllByRole("cell")[0]?.querySelector("p")?.textContent.replaceAll("\u00a0", " "));
    expect(texts).toEqual([
      "Unaided success of each task below 50 %, over the last 24 h, n ≥ 30",
      "A robot is offline for longer than 5 min",
      "More than 20 episodes on each robot wait for their upload",
      "A training run makes no step for longer than 75 s",
      "Staleness of the driving version, p50 above 1 h, over the last 2 d, n ≥ 20",
      "More than 1 episode of a robot refused over the last 90 min",
    ]);
  });

  it("offers nothing to those who may only look", async () => {
    renderApp("/alerts?view=rules", answers({}, ["see"]));
    expect(await screen.findByText("Sat, Sun 22:00 until 06:00 (Europe/Berlin)")).toBeTruthy();
    expect(screen.queryByRole("button", { name: "New rule" })).toBeNull();
    fireEvent.click(screen.getByRole("tab", { name: "Alerts" }));
    await screen.findByRole("table", { name: "Open alerts" });
    expect(screen.queryByRole("button", { name: /^Acknowledge/ })).toBeNull();
  });

  it("says whether a rule would fire now, and makes it", async () => {
    const reading = { subject_kind: "task", subject_id: "t1", subject_name: "box-close", finding: "firing", text: SLOW.text };
    const app = renderApp(
      "/alerts?view=rules",
      answers({ "POST /api/v1/alert-rules/preview": [200, { results: [reading] }], "POST /api/v1/alert-rules": [201, RULE] }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "New rule" }));
    const dialog = within(screen.getByRole("dialog", { name: "New alert rule" }));
    fireEvent.change(dialog.getByRole("textbox", { name: "Name" }), { target: { value: "Low success" } });
    fireEvent.change(dialog.getByRole("spinbutton", { name: "Limit (%)" }), { target: { value: "60" } });
    fireEvent.click(dialog.getByRole("button", { name: "Would it fire now?" }));
    const preview = await dialog.findByRole("region", { name: "Preview" });
    expect(preview.textContent).toBe(`Yes: ${SLOW.text}`);
    fireEvent.click(dialog.getByRole("button", { name: "Add a time once" }));
    fireEvent.change(dialog.getByLabelText("From"), { target: { value: "2026-12-24T18:00" } });
    fireEvent.change(dialog.getByLabelText("Until"), { target: { value: "2026-12-26T08:00" } });
    fireEvent.click(dialog.getByRole("button", { name: "Make the rule" }));
    await waitFor(() => expect(app.requests.some((each) => each.key === "POST /api/v1/alert-rules")).toBe(true));
    expect(app.requests.find((each) => each.key === "POST /api/v1/alert-rules")?.body).toMatchObject({
      name: "Low success",
      kind: "rate",
      params: { measure: "success", by: "task", threshold: 0.6, min_n: 20, interval: "wilson", window_s: 86_400 },
      silences: [{ kind: "once", from: "2026-12-24T18:00", until: "2026-12-26T08:00" }],
      channels: [],
    });
  });

  it("asks for durations in minutes, hours and days, and sends seconds", async () => {
    const rule = { ...RULE, kind: "staleness", params: { span: "staleness_s", quantile: "p50", above: 5400, window_s: 172_800, min_n: 20 } };
    const app = renderApp(
      "/alerts?view=rules",
      answers({ "GET /api/v1/alert-rules": [200, { results: [rule], is_mail_set_up: true }], "PATCH /api/v1/alert-rules/r1": [200, rule] }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "Change Robot offline" }));
    const dialog = within(screen.getByRole("dialog"));
    const number = (name: string) => dialog.getByRole<HTMLInputElement>("spinbutton", { name });
    const unit = (name: string) => dialog.getByRole<HTMLSelectElement>("combobox", { name: `Unit of: ${name}` });
    const shown = (name: string) => `${number(name).value} ${unit(name).selectedOptions[0]?.textContent ?? ""}`;
    expect(["Above", "Over the last", "Resolves once it is over for"].map(shown)).toEqual(["90 minutes", "2 days", "1 minutes"]);
    fireEvent.change(unit("Above"), { target: { value: "h" } });
    expect(shown("Above")).toBe("90 hours");
    fireEvent.change(number("Above"), { target: { value: "1.5" } });
    fireEvent.change(number("Resolves once it is over for"), { target: { value: "10" } });
    fireEvent.click(dialog.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(app.requests.some(({ key }) => key.startsWith("PATCH"))).toBe(true));
    expect(app.requests.find(({ key }) => key.startsWith("PATCH"))?.body).toMatchObject({
      params: { above: 5400, window_s: 172_800 },
      clear_after_s: 600,
    });
  });

  it("says why a rule was refused and keeps what was typed", async () => {
    const problem = { code: "invalid_request", title: "", detail: "a threshold lies between 0 and 1", status: 422 };
    renderApp("/alerts?view=rules", answers({ "PATCH /api/v1/alert-rules/r1": [422, problem] }));
    fireEvent.click(await screen.findByRole("button", { name: "Change Robot offline" }));
    fireEvent.click(screen.getByRole("button", { name: "Save" }));
    expect(await screen.findByText(/Nothing was saved. .*a threshold lies between 0 and 1/)).toBeTruthy();
    expect(screen.getByRole<HTMLInputElement>("textbox", { name: /^Mail addresses/ }).value).toBe("ann@lab.example");
  });

  it("shows a new critical alert at once, and none that was open before", async () => {
    const given = answers({ "GET /api/v1/alerts/open": open([SLOW]) });
    const app = renderApp("/alerts", given);
    await screen.findByRole("table", { name: "Open alerts" });
    const socket = app.sockets.at(-1);
    act(() => socket?.deliver(1, snapshot()));
    given["GET /api/v1/alerts/open"] = open([SLOW, ALERT]);
    act(() => socket?.deliver(2, { type: "alerts_changed", server_ms: 0 }));
    expect(await screen.findByRole("button", { name: "Look at alerts" })).toBeTruthy();
  });

  it("says that robots wait although no alert is open, and where", async () => {
    const app = renderApp("/alerts", answers({ "GET /api/v1/alerts/open": open([]) }));
    await screen.findByText("No alert is open");
    expect(screen.queryByRole("list", { name: "Besides alerts" })).toBeNull();
    const socket = app.sockets.at(-1);
    const waits = { request_id: "q1", robot_id: "r1", robot: "arm-1", reason: "paused" as const, score: 1, detail: "", task: "", policy_number: null, opened_ms: 0, operator: "", claimed_ms: null };
    const still = [robot({ mode: "paused" }), robot({ robot_id: "r2", name: "arm-2", is_online: false })];
    act(() => socket?.deliver(1, snapshot({ robots: still })));
    act(() => socket?.deliver(2, { type: "help_queue", server_ms: 1, ranking: "cur", total: 1, requests: [waits] }));
    const besides = within(await screen.findByRole("list", { name: "Besides alerts" }));
    expect(besides.getByRole("link", { name: "1 robot waits for help" }).getAttribute("href")).toBe("/help");
    expect(besides.getByRole("link", { name: "2 robots need attention on the fleet page" }).getAttribute("href")).toBe("/?status=attention");
  });

  it("says when no alert is open, and when it could not be read", async () => {
    const empty: Record<string, Answer> = {
      "GET /api/v1/alerts/open": open([]),
      "GET /api/v1/alerts": [500, { code: "internal", title: "", detail: "the server failed", status: 500 }],
    };
    renderApp("/alerts", answers(empty));
    expect(await screen.findByText("No alert is open")).toBeTruthy();
    expect(await screen.findByText("The history could not be read")).toBeTruthy();
  });

  it.each(["/alerts", "/alerts?view=rules"])("%s has no accessibility violation", async (path) => {
    renderApp(path, answers());
    await screen.findByRole("table", { name: path === "/alerts" ? "Open alerts" : "Alert rules" });
    const found = await axe.run(document.body, { rules: { "color-contrast": { enabled: false } } });
    expect(found.violations.map((each) => each.id)).toEqual([]);
  });
});
