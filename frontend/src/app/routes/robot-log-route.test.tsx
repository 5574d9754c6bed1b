import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import axe from "axe-core";
import { describe, expect, it, vi } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";

const PATH = "/settings/robots/r1/log";
const LOGS = "/api/v1/robots/r1/logs";
const REFUSALS = "/api/v1/robots/r1/refusals";
const line = (level: string, text: string, at_ms = 1_795_000_000_000) => ({ at_ms, level, logger: "fleet.daemon.link", text });
const LINES = [line("info", "link open"), line("warning", "link down"), line("error", "the gripper does not answer")];
const log = (change: object = {}): Answer => [200, { is_online: true, can_send: true, answered: null, lines: LINES, ...change }];
const answers = (change: Record<string, Answer> = {}, permissions = ["see", "edit_robots"]): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", permissions } }],
  "GET /api/v1/robots/r1": [200, { id: "r1", name: "left arm", retired_at: null }],
  [`GET ${LOGS}`]: log(),
  [`GET ${REFUSALS}`]: [200, { results: [] }],
  ...change,
});
const rows = async () => within(await screen.findByRole("table", { name: /^Log lines/ })).getAllByRole("row").slice(1);

describe("a robot's log", () => {
  it("shows the lines and filters them by level and words", async () => {
    renderApp(PATH, answers());
    expect(await screen.findByRole("heading", { name: "Log of left arm" })).toBeTruthy();
    expect(await rows()).toHaveLength(3);
    fireEvent.change(screen.getByRole("combobox", { name: "Level" }), { target: { value: "warning" } });
    expect(await rows()).toHaveLength(2);
    fireEvent.change(screen.getByRole("searchbox", { name: "Find in the lines" }), { target: { value: "gripper" } });
    expect((await rows()).map((row) => row.textContent).join()).toContain("the gripper does not answer");
    fireEvent.change(screen.getByRole("searchbox", { name: "Find in the lines" }), { target: { value: "nothing like it" } });
    expect(await screen.findByText("No line matches")).toBeTruthy();
  });

  it("asks the robot and shows its answer", async () => {
    const given = answers({ [`POST ${LOGS}`]: [202, { question: "q1" }] });
    const app = renderApp(PATH, given);
    await rows(); // before, nobody can be asked
    fireEvent.click(screen.getByRole("button", { name: "Read the last 200 lines" }));
    expect(await screen.findByRole("button", { name: "Asking …" })).toBeTruthy();
    given[`GET ${LOGS}`] = log({ answered: "q1", lines: [line("info", "asked and answered"), ...LINES] });
    expect(await screen.findByText("asked and answered")).toBeTruthy();
    expect(await screen.findByRole("button", { name: "Read the last 200 lines" })).toBeTruthy();
    expect(app.requests.find((each) => each.key === `POST ${LOGS}`)?.body).toEqual({ limit: 200 });
  });

  it("copies what is shown", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    Object.defineProperty(window.navigator, "clipboard", { value: { writeText }, configurable: true });
    renderApp(`${PATH}?level=error`, answers());
    await rows();
    fireEvent.click(screen.getByRole("button", { name: "Copy" }));
    await waitFor(() => expect(writeText).toHaveBeenCalledOnce());
    expect(writeText).toHaveBeenCalledWith("2026-11-18T11:06:40.000Z ERROR fleet.daemon.link: the gripper does not answer");
  });

  it("says why it cannot ask: offline, too old, refused", async () => {
    const given = answers({ [`GET ${LOGS}`]: log({ is_online: false, lines: [] }) });
    renderApp(PATH, given);
    expect(await screen.findByText(/The robot is offline/)).toBeTruthy();
    expect(screen.getByText("No line is here yet")).toBeTruthy();
    expect(screen.getByRole<HTMLButtonElement>("button", { name: /^Read the last/ }).disabled).toBe(true);
  });

  it("says that the daemon is too old", async () => {
    renderApp(PATH, answers({ [`GET ${LOGS}`]: log({ can_send: false }) }));
    expect(await screen.findByText(/does not send its log yet/)).toBeTruthy();
  });

  it("tells a refusal", async () => {
    const busy = { code: "rate_limited", title: "", detail: "left arm's log was read a moment ago", status: 429 };
    renderApp(PATH, answers({ [`POST ${LOGS}`]: [429, busy] }));
    await rows();
    fireEvent.click(screen.getByRole("button", { name: /^Read the last/ }));
    expect(await screen.findByText(/The robot was not asked\. .*a moment ago/)).toBeTruthy();
  });

  it("lists what was refused, above the log, with the reason", async () => {
    const refusal = { episode_id: "e-1", code: "invalid_video", message: "no picture decodes", refused_at: "2026-11-26T20:00:00Z" };
    renderApp(PATH, answers({ [`GET ${REFUSALS}`]: [200, { results: [refusal] }] }));
    const table = await screen.findByRole("table", { name: /^Refused episodes/ });
    expect(within(table).getByText("e-1")).toBeTruthy();
    expect(within(table).getByText("no picture decodes")).toBeTruthy();
    expect(screen.getByRole("heading", { name: /^1\sepisode refused$/ })).toBeTruthy();
    const found = await axe.run(document.body, { rules: { "color-contrast": { enabled: false } } });
    expect(found.violations.map((each) => each.id)).toEqual([]);
  });

  it("shows the log though the refusals cannot be read", async () => {
    renderApp(PATH, answers({ [`GET ${REFUSALS}`]: [500, { code: "internal", title: "", detail: "It broke.", status: 500 }] }));
    expect(await rows()).toHaveLength(3);
    expect(await screen.findByText(/Whether episodes were refused could not be read/, {}, { timeout: 10_000 })).toBeTruthy();
  });

  it("is for managers and admins, and has no accessibility violation", async () => {
    const app = renderApp(PATH, answers({}, ["see"]));
    expect(await screen.findByText("Managers and admins read robots' logs")).toBeTruthy();
    expect(app.requests.some((each) => each.key === `GET ${LOGS}`)).toBe(false);
    const found = await axe.run(document.body, { rules: { "color-contrast": { enabled: false } } });
    expect(found.violations.map((each) => each.id)).toEqual([]);
  });
});
