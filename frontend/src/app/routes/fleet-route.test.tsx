import { act, cleanup, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";

import type { SuccessSeries } from "@/features/training/api/success";
import { robot, run, snapshot } from "@/testing/fleet-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn as sessionOf, VIEWER } from "@/testing/session-fixtures";

// jsdom has no canvas; what the plot draws is looked at in a browser, what it says is in the description and the table.
vi.mock("uplot", () => ({ default: class { setData() {} setSize() {} destroy() {} } }));

const series: SuccessSeries = {
  definition: "Succeeded without any human step.",
  confidence: 0.95,
  window_s: 300,
  points: [
    { at_ms: 1_000_000, successes: 3, n: 10, rate: 0.3, low: 0.108, high: 0.603 },
    { at_ms: 1_060_000, successes: 28, n: 45, rate: 0.622, low: 0.476, high: 0.749 },
  ],
  versions: [{ number: 3, published_ms: 1_010_000 }],
};

const signedIn = (): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", is_staff: true } }],
  "GET /api/v1/tasks": [200, { next: null, previous: null, results: [{ slug: "shelf-place" }, { slug: "box-close" }] }],
  "GET /api/v1/metrics/success": [200, series],
});

async function openFleet(path = "/", answers = signedIn()) {
  const app = renderApp(path, answers);
  await screen.findByRole("heading", { name: "Fleet" });
  const socket = app.sockets.at(-1);
  if (socket === undefined) throw new Error("the page opened no link");
  return { ...app, socket };
}

describe("fleet page", () => {
  beforeEach(() => {
    vi.spyOn(Date, "now").mockReturnValue(1_000_000);
  });

  it("shows each robot with what it does, its policy and when it was seen", async () => {
    const { socket } = await openFleet();
    act(() => socket.deliver(1, snapshot({ robots: [robot({ overruns: 3, pending_episodes: 2 })], run: run() })));
    const card = within(screen.getByRole("article", { name: "arm-1" }));
    for (const text of ["Working", "shelf-place", "Place the puck on the shelf.", "step 120 / 250", "just now", "2"]) {
      expect(card.getByText(text)).toBeTruthy();
    }
    expect(card.getByText("v12").textContent).toBe("v12 2 behind, 31\u00a0s");
    expect(card.getByText("10.0 Hz").textContent).toBe("10.0\u00a0Hz 3\u00a0overruns");
    expect(screen.getByRole("status", { name: "Live link" }).textContent).toContain("Connected");
  });

  it("follows the fleet: changes, removals, and nothing stale after a reconnect", async () => {
    const { socket, sockets } = await openFleet();
    act(() => socket.deliver(1, snapshot({ robots: [robot(), robot({ robot_id: "r2", name: "arm-2" })] })));
    act(() => socket.deliver(2, { type: "robots_changed", server_ms: 0, robots: [robot({ mode: "teleop", source: "scripted" })] }));
    expect(screen.getByText("Under control by scripted supervisor")).toBeTruthy();

    act(() => socket.shut(1012));
    expect(screen.getByRole("status", { name: "Live link" }).textContent).toContain("Reconnecting");
    fireEvent.click(screen.getByRole("button", { name: "Try now" }));
    act(() => sockets.at(-1)?.deliver(1, snapshot({ robots: [robot({ robot_id: "r2", name: "arm-2" })] })));
    expect(screen.queryByRole("article", { name: "arm-1" })).toBeNull();
    expect(screen.getByRole("article", { name: "arm-2" })).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Try now" })).toBeNull();
  });

  it("keeps search and layout in the URL", async () => {
    const { socket, router } = await openFleet("/?layout=table");
    act(() => socket.deliver(1, snapshot({ robots: [robot(), robot({ robot_id: "r2", name: "arm-2" })] })));
    const table = within(screen.getByRole("table", { name: "Robot table" }));
    expect(table.getAllByRole("row")).toHaveLength(3);
    fireEvent.change(screen.getByRole("searchbox", { name: "Search robots" }), { target: { value: "arm-2" } });
    expect(table.getAllByRole("row")).toHaveLength(2);
    expect(router.state.location.search).toBe("?layout=table&q=arm-2");
  });

  it("opens everything about a robot", async () => {
    const { socket } = await openFleet();
    act(() => socket.deliver(1, snapshot({ robots: [robot({ activity: "error", detail: "The camera stopped." })] })));
    fireEvent.click(screen.getByRole("button", { name: "arm-1, details" }));
    const dialog = within(screen.getByRole("dialog", { name: "arm-1" }));
    expect(dialog.getByText("The camera stopped.")).toBeTruthy();
    fireEvent.click(dialog.getByRole("button", { name: "Close" }));
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("shows the training run with the share of human frames and its n", async () => {
    const { socket } = await openFleet();
    act(() => socket.deliver(1, snapshot({ run: run() })));
    const panel = within(screen.getByRole("region", { name: "Training run" }));
    expect(panel.getByText("Training")).toBeTruthy();
    expect(panel.getByText("25 %").textContent).toBe("25\u00a0% n = 5,000");
    expect(panel.getByText("6.3 steps/s")).toBeTruthy();
  });

  it("says rate, interval and n of the latest point, in the picture's text and in a table", async () => {
    await openFleet();
    const picture = await screen.findByRole("img", { name: /Autonomous success rate/ });
    expect(picture.getAttribute("aria-label")).toContain("62\u00a0% (95\u00a0% interval 48–75\u00a0%, n = 45)");
    expect(screen.getByText(/Succeeded without any human step\./)).toBeTruthy();
    fireEvent.click(screen.getByRole("tab", { name: "Table" }));
    const rows = within(screen.getByRole("table", { name: "Autonomous success over time" })).getAllByRole("row");
    expect(within(rows[1] as HTMLElement).getAllByRole("cell").slice(1).map((cell) => cell.textContent)).toEqual([
      "62\u00a0%",
      "48–75\u00a0%",
      "45",
      "v3",
    ]);
  });

  it("asks for the task and window of the URL, and again when metrics change", async () => {
    const { socket, requests } = await openFleet("/?task=box-close&window=900");
    await screen.findByRole("img", { name: /Autonomous success rate/ });
    const asked = () => requests.filter(({ key }) => key === "GET /api/v1/metrics/success");
    expect(asked().map(({ query }) => query.toString())).toEqual(["window_s=900&task=box-close"]);
    act(() => socket.deliver(1, snapshot()));
    act(() => socket.deliver(2, { type: "metrics_changed", server_ms: 0 }));
    // Throttled to one reading in three seconds.
    await waitFor(() => expect(asked()).toHaveLength(2), { timeout: 4000 });
  });

  it("says how to bring in a robot when there is none", async () => {
    const { socket } = await openFleet();
    act(() => socket.deliver(1, snapshot()));
    expect(screen.getByText("No robots yet")).toBeTruthy();
    expect(screen.getByText("No training run")).toBeTruthy();
  });

  it("says so when success cannot be read", async () => {
    const problem = { code: "not_found", title: "Not Found", detail: "There is no such task.", status: 404 };
    await openFleet("/?task=gone", { ...signedIn(), "GET /api/v1/metrics/success": [404, problem] });
    expect(await screen.findByText("There is no such task.")).toBeTruthy();
  });
});

describe("signing in", () => {
  it("sends strangers to the sign-in page and back to where they were going", async () => {
    const { router, requests, answers } = renderApp("/?layout=table", { ...signedIn(), "GET /api/v1/session": [200, { user: null }] });
    await screen.findByRole("heading", { name: "SOP console" });
    expect(router.state.location.search).toBe("?next=%2F%3Flayout%3Dtable");
    answers["POST /api/v1/session"] = [401, { code: "unauthorised", title: "No", detail: "", status: 401 }];
    fireEvent.change(screen.getByLabelText("User name"), { target: { value: "mara" } });
    fireEvent.change(screen.getByLabelText("Password"), { target: { value: "wrong" } });
    fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
    expect(await screen.findByText("The user name or the password is wrong.")).toBeTruthy();

    Object.assign(answers, signedIn(), { "POST /api/v1/session": [200, {}] });
    fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
    await screen.findByRole("heading", { name: "Fleet" });
    expect(requests.find(({ key }) => key === "POST /api/v1/session")?.body).toEqual({ username: "mara", password: "wrong" });
    expect(router.state.location.search).toBe("?layout=table");
  });

  it("lets go of a robot that is held at the robot, after asking", async () => {
    const hold = "Taken back to version 3 at the robot: drops cups";
    const answers = { ...signedIn(), "GET /api/v1/session": sessionOf(["see", "release_versions"]), "DELETE /api/v1/robots/r1/hold": [204, null] as const };
    const { socket, requests } = await openFleet("/", answers);
    act(() => socket.deliver(1, snapshot({ robots: [robot({ policy_stage: "held", policy_hold: hold })] })));
    expect(screen.getByText(hold)).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "arm-1, details" }));
    fireEvent.click(screen.getByRole("button", { name: "Lift the hold" }));
    expect(requests.some(({ key }) => key.startsWith("DELETE"))).toBe(false);
    const asked = within(screen.getByRole("dialog", { name: "Lift the hold of arm-1?" }));
    fireEvent.click(asked.getByRole("button", { name: "Lift the hold" }));
    expect(await screen.findByText("arm-1 follows the server again as soon as it hears of it.")).toBeTruthy();
    expect(requests.some(({ key }) => key === "DELETE /api/v1/robots/r1/hold")).toBe(true);
  });

  it("says why a hold stays, and leaves it to who may release", async () => {
    const refused: Answer = [404, { code: "not_found", title: "Not Found", detail: "this robot is not held, or not connected", status: 404 }];
    const held = snapshot({ robots: [robot({ policy_stage: "held", policy_hold: "Taken back to version 3 at the robot" })] });
    const { socket } = await openFleet("/", { ...signedIn(), "GET /api/v1/session": sessionOf(), "DELETE /api/v1/robots/r1/hold": refused });
    act(() => socket.deliver(1, held));
    fireEvent.click(screen.getByRole("button", { name: "arm-1, details" }));
    fireEvent.click(screen.getByRole("button", { name: "Lift the hold" }));
    fireEvent.click(within(screen.getByRole("dialog", { name: /^Lift the hold/ })).getByRole("button", { name: "Lift the hold" }));
    expect(await screen.findByText("arm-1 stays held. this robot is not held, or not connected")).toBeTruthy();
    cleanup();
    const viewer = await openFleet("/", { ...signedIn(), "GET /api/v1/session": sessionOf(VIEWER) });
    act(() => viewer.socket.deliver(1, held));
    fireEvent.click(screen.getByRole("button", { name: "arm-1, details" }));
    const button = screen.getByRole<HTMLButtonElement>("button", { name: "Lift the hold" });
    expect([button.disabled, button.title]).toEqual([true, "Your role does not let you release versions."]);
  });

  it("leaves the page when the link says that the session is over", async () => {
    const { socket, answers } = await openFleet();
    answers["GET /api/v1/session"] = [200, { user: null }];
    act(() => socket.shut(4401));
    expect(await screen.findByRole("heading", { name: "SOP console" })).toBeTruthy();
  });

  it("never leads to another site", async () => {
    const { router } = renderApp("/sign-in?next=//elsewhere.example", signedIn());
    await screen.findByRole("heading", { name: "Fleet" });
    expect(router.state.location.pathname).toBe("/");
  });
});

describe("other addresses", () => {
  it("says that there is no such page and leads back", async () => {
    renderApp("/nowhere", signedIn());
    expect(await screen.findByText("There is no page at this address")).toBeTruthy();
    expect(screen.getByRole("link", { name: "Go to the fleet" }).getAttribute("href")).toBe("/");
  });
});
