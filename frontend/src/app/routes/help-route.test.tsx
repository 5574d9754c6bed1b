import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import axe from "axe-core";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { useAlertSettings } from "@/features/help/alert-settings";
import type { HelpCard, HelpQueue } from "@/protocol/generated";
import { robot, snapshot } from "@/testing/fleet-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";

vi.mock("uplot", () => ({ default: class { setData() {} setSize() {} destroy() {} } }));

const NOW = 1_000_000;
const FIGURES = {
  window_s: 3600,
  answered: 3,
  unanswered: 1,
  waiting: { n: 3, p50_s: 20, p90_s: 28 },
  service: { n: 3, p50_s: 60, p90_s: 90 },
  blocked_s: 30,
  operators: [{ operator: "ann", takeovers: 4, switches: 2, dwell: { n: 3, p50_s: 20, p90_s: 28 } }],
};
const PAST = {
  id: "p1",
  robot_name: "arm-9",
  reason: "paused",
  ending: "served",
  opened_at: "2026-11-23T10:00:00Z",
  claimed_at: "2026-11-23T10:00:30Z",
  closed_at: "2026-11-23T10:02:30Z",
  operator: "ben",
  task: "box-close",
};

const answers = (isManager = true, change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", permissions: ["see", ...(isManager ? ["rank_help"] : [])] } }],
  "GET /api/v1/help/figures": [200, FIGURES],
  "GET /api/v1/help/history": [200, { next: null, previous: null, results: [PAST] }],
  ...change,
});

function card(change: Partial<HelpCard> = {}): HelpCard {
  return {
    request_id: "q1",
    robot_id: "r1",
    robot: "arm-1",
    reason: "uncertain",
    score: 0.75,
    detail: "the policy's samples differ by 0.04",
    task: "shelf-place",
    policy_number: 12,
    opened_ms: NOW - 42_000,
    operator: "",
    claimed_ms: null,
    ...change,
  };
}

const queue = (requests: readonly HelpCard[], change: Partial<HelpQueue> = {}): HelpQueue & { type: "help_queue" } => ({
  type: "help_queue",
  server_ms: NOW,
  ranking: "cur",
  total: requests.length,
  requests,
  ...change,
});

async function open(path = "/help", given = answers()) {
  const app = renderApp(path, given);
  await screen.findByRole("heading", { level: 1 });
  const socket = app.sockets.at(-1);
  if (socket === undefined) throw new Error("the page opened no link");
  act(() => socket.deliver(1, snapshot({ server_ms: NOW, robots: [robot(), robot({ robot_id: "r2", name: "arm-2" })] })));
  let seq = 1;
  return { ...app, socket, say: (message: HelpQueue & { type: "help_queue" }) => act(() => socket.deliver((seq += 1), message)) };
}

const tones: unknown[] = [];

class FakeAudio {
  currentTime = 0;
  destination = {};
  resume = () => Promise.resolve();
  createGain = () => ({ gain: { setValueAtTime: () => undefined, linearRampToValueAtTime: () => undefined }, connect: () => undefined });
  createOscillator = () => ({
    frequency: { value: 0 },
    connect: (next: unknown) => next,
    start: (at: number) => tones.push(at),
    stop: () => undefined,
  });
}

beforeEach(() => {
  vi.spyOn(Date, "now").mockReturnValue(NOW);
  localStorage.clear();
  useAlertSettings.setState({ isSoundOn: false, isTitleOn: false });
  tones.length = 0;
});

describe("help page", () => {
  it("lists who waits in the server's order, with reason, score, time and the way there", async () => {
    const { say } = await open();
    say(queue([card(), card({ request_id: "q2", robot_id: "r2", robot: "arm-2", reason: "no_progress", score: 0.5 })]));
    const rows = within(screen.getByRole("list", { name: /^Waiting/ })).getAllByRole("listitem");
    expect(rows.map((row) => within(row).getByRole("heading").textContent)).toEqual(["arm-1", "arm-2"]);
    const first = within(rows[0] as HTMLElement);
    for (const text of ["Unsure what to do", "the policy's samples differ by 0.04", "75 %", "42 s"]) {
      expect(first.getByText(text)).toBeTruthy();
    }
    expect(first.getByText(/^shelf-place/).textContent).toBe("shelf-place · v12");
    expect(first.getByRole("link", { name: "Go to arm-1" }).getAttribute("href")).toBe("/teleop/r1");
  });

  it("shows who helps, apart from those that wait, and counts these in the navigation", async () => {
    const { say } = await open();
    say(queue([card(), card({ request_id: "q2", robot: "arm-2", operator: "ben", claimed_ms: NOW - 5000 })]));
    const served = within(screen.getByRole("list", { name: /^Being helped/ }));
    expect(served.getByText("ben helps")).toBeTruthy();
    expect(served.getByText(/^for/).textContent).toBe("for 5\u00a0s");
    expect(served.getByRole("link", { name: "Watch arm-2" })).toBeTruthy();
    expect(screen.getByRole("link", { name: "Help 1 waiting" }).getAttribute("href")).toBe("/help");
    say(queue([]));
    expect(screen.getByRole("link", { name: "Help" })).toBeTruthy();
    expect(screen.queryByRole("list", { name: /^Being helped/ })).toBeNull();
  });

  it("tells an unknown queue from an empty one, and says when it cannot be read", async () => {
    const { socket, say } = await open();
    expect(screen.queryByText("Nobody waits for help")).toBeNull();
    say(queue([]));
    expect(screen.getByText("Nobody waits for help")).toBeTruthy();
    expect(socket.isClosed).toBe(false);
  });

  it("says that the link is down before the first queue came", async () => {
    renderApp("/help", answers());
    await screen.findByRole("heading", { level: 1 });
    act(() => void window.dispatchEvent(new Event("offline")));
    expect(await screen.findByText("The queue cannot be read")).toBeTruthy();
    act(() => void window.dispatchEvent(new Event("online"))); // react-query remembers it beyond this test
  });

  it("says how many are further down", async () => {
    const { say } = await open();
    say(queue([card()], { total: 104 }));
    expect(screen.getByText("And 103 more, further down.")).toBeTruthy();
    expect(screen.getByRole("link", { name: "Help 1+ waiting" })).toBeTruthy();
  });

  it("lets a manager choose the order, for everyone", async () => {
    const { say, requests, answers: given } = await open();
    say(queue([card()]));
    given["PUT /api/v1/help/ranking"] = [200, { ranking: "fifo" }];
    fireEvent.change(screen.getByLabelText("Order"), { target: { value: "fifo" } });
    await waitFor(() => expect(requests.find(({ key }) => key === "PUT /api/v1/help/ranking")?.body).toEqual({ ranking: "fifo" }));
    say(queue([card()], { ranking: "fifo" }));
    expect(screen.getByText(/Who waits longest comes first/)).toBeTruthy();
  });

  it("only tells others the order", async () => {
    const { say } = await open("/help", answers(false));
    say(queue([card()], { ranking: "thrifty" }));
    expect(screen.queryByLabelText("Order")).toBeNull();
    expect(screen.getByText("Thrifty")).toBeTruthy();
    expect(screen.getByText(/A manager chooses it/)).toBeTruthy();
  });

  it("shows waiting and service with n, and each operator's switches", async () => {
    await open();
    expect((await screen.findByText("Waited for a person")).nextSibling?.textContent).toBe("20\u00a0s median; p90 28\u00a0s, n = 3");
    expect(screen.getByText("Answered").nextSibling?.textContent).toBe("3 of 4");
    const operators = within(screen.getByRole("table", { name: "Operators" })).getAllByRole("row");
    expect(within(operators[1] as HTMLElement).getAllByRole("cell").map((cell) => cell.textContent)).toEqual(["ann", "4", "2", "20\u00a0s"]);
    const past = within(await screen.findByRole("table", { name: "Newest 20 requests that ended" })).getAllByRole("row");
    expect(within(past[1] as HTMLElement).getAllByRole("cell").slice(1).map((cell) => cell.textContent)).toEqual([
      "arm-9",
      "Stands still",
      "box-close",
      "30\u00a0s",
      "2\u00a0min",
      "A person helped ben",
    ]);
  });

  it("says so when figures and history cannot be read", async () => {
    const refused: Answer = [503, { code: "away", title: "Away", detail: "The database is away.", status: 503 }];
    await open("/help", answers(true, { "GET /api/v1/help/figures": refused, "GET /api/v1/help/history": refused }));
    await waitFor(() => expect(screen.getAllByText("Not read. The database is away.")).toHaveLength(2), { timeout: 15_000 });
  });

  it("has nothing that axe objects to", async () => {
    const { say } = await open();
    say(queue([card(), card({ request_id: "q2", robot: "arm-2", operator: "ben", claimed_ms: NOW })]));
    await screen.findByRole("table", { name: "Operators" });
    // jsdom lays nothing out, so contrast is looked at in the browser's own run.
    const found = await axe.run(document.body, { rules: { "color-contrast": { enabled: false } } });
    expect(found.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
  });
});

describe("alerts", () => {
  it("are off until switched on, and the choice is kept", async () => {
    vi.stubGlobal("AudioContext", FakeAudio);
    const { say } = await open();
    say(queue([]));
    say(queue([card()]));
    expect([tones.length, document.title]).toEqual([0, "Help · SOP"]);
    fireEvent.click(screen.getByLabelText("Count in the tab's title"));
    expect(document.title).toBe("(1) Help · SOP");
    fireEvent.click(screen.getByLabelText("Sound when a robot asks"));
    await waitFor(() => expect(tones).toHaveLength(1)); // so that one knows what to listen for
    expect(JSON.parse(localStorage.getItem("sop.help.alerts") ?? "")).toEqual({ isSoundOn: true, isTitleOn: true });
    say(queue([]));
    expect(document.title).toBe("Help · SOP");
  });

  it("sound once for a burst of new requests, and not for known or served ones", async () => {
    vi.stubGlobal("AudioContext", FakeAudio);
    useAlertSettings.setState({ isSoundOn: true });
    const { say } = await open();
    say(queue([card()]));
    expect(tones).toHaveLength(0); // it waited before the page was opened
    say(queue([card(), card({ request_id: "q2" })]));
    say(queue([card(), card({ request_id: "q2" }), card({ request_id: "q3" })]));
    await waitFor(() => expect(tones).toHaveLength(1));
    vi.mocked(Date.now).mockReturnValue(NOW + 10_000);
    say(queue([card({ score: 0.9 }), card({ request_id: "q2", operator: "ben", claimed_ms: NOW })]));
    say(queue([card({ request_id: "q4", operator: "ben", claimed_ms: NOW })]));
    expect(tones).toHaveLength(1);
    say(queue([card({ request_id: "q5" })]));
    await waitFor(() => expect(tones).toHaveLength(2));
  });

  it("survive a storage that holds nonsense", async () => {
    localStorage.setItem("sop.help.alerts", "[1,");
    vi.resetModules();
    const { useAlertSettings: fresh } = await import("@/features/help/alert-settings");
    expect([fresh.getState().isSoundOn, fresh.getState().isTitleOn]).toEqual([false, false]);
  });
});
