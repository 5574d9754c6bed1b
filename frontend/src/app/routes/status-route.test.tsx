import { fireEvent, screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";

const STATUS = {
  is_ready: true,
  checked_ms: Date.now(),
  parts: [
    { name: "database", state: "ready", took_ms: 1.24 },
    { name: "redis", state: "ready", took_ms: 0.5 },
  ],
  queues: [
    { name: "fleet", length: 0, oldest_s: null, worker_silent_s: 2 },
    { name: "hooks", length: 12, oldest_s: 300, worker_silent_s: 2 },
    { name: "learner", length: 1, oldest_s: 900, worker_silent_s: 4 },
    { name: "data", length: 1, oldest_s: 5, worker_silent_s: null },
  ],
  workers: [{ name: "fleet@host", queues: ["fleet"], silent_s: 2 }],
  scheduler_silent_s: 1,
  learner: { running: 1, failed: 0, silent_s: 3, round_age_s: 40, version_age_s: 90 },
  store: { kind: "folder", free_bytes: 5e9, size_bytes: 1e11 },
  robots: { online: 3, offline: 1 },
  latencies: [{ name: "episode_to_learner", n: 8, p50: 0.42, p90: 3.14, p99: null }],
};
const answers = (status: Answer): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", is_staff: false } }],
  "GET /api/v1/status": status,
});
const textsOf = (row: HTMLElement) => within(row).getAllByRole("cell").map((cell) => cell.textContent.replaceAll("\u00a0", " "));
const rowOf = async (table: string, first: string) => {
  const rows = within(await screen.findByRole("table", { name: table })).getAllByRole("row");
  const found = rows.slice(1).find((row) => textsOf(row)[0] === first);
  if (found === undefined) throw new Error(`no row ${first}`);
  return textsOf(found);
};

describe("status", () => {
  it("says how every part is, what waits and who works", async () => {
    renderApp("/status", answers([200, STATUS]));
    expect(await screen.findByRole("heading", { level: 1, name: "Every part is ready" })).toBeTruthy();
    expect(await rowOf("Parts of the system", "Database")).toEqual(["Database", "Ready", "1.2 ms"]);
    expect(await rowOf("Queues of tasks", "Fleet (the clock)")).toEqual(["Fleet (the clock)", "Works", "0", "–"]);
    expect(await rowOf("Queues of tasks", "Webhooks")).toEqual(["Webhooks", "Stands", "12", "5 min"]);
    expect((await rowOf("Queues of tasks", "Learner"))[1]).toBe("Works");
    expect((await rowOf("Queues of tasks", "Exports and imports"))[1]).toBe("No worker");
    expect(await rowOf("Workers", "fleet@host")).toEqual(["fleet@host", "fleet", "2 s ago"]);
    expect(await rowOf("Latencies of the last hour", "Captured to learned from")).toEqual([
      "Captured to learned from",
      "8",
      "420 ms",
      "3.1 s",
      "–",
    ]);
    expect(screen.getByText("The store is almost full: collect garbage or add room.")).toBeTruthy();
  });

  it("names what is away, and says so of what lies in it", async () => {
    const parts = [{ name: "redis", state: "timeout", took_ms: 2000 }, { name: "migrations", state: "migrations_missing", took_ms: 3 }];
    const away = { ...STATUS, is_ready: false, parts, queues: null, workers: null, scheduler_silent_s: null, robots: null };
    renderApp("/status", answers([200, away]));
    expect(await screen.findByRole("heading", { level: 1, name: "Not ready: Redis, Migrations" })).toBeTruthy();
    expect(await rowOf("Parts of the system", "Redis")).toEqual(["Redis", "Does not answer", "–"]);
    expect(screen.getAllByText("Not known while Redis does not answer.")).toHaveLength(2);
  });

  it("says what to do without workers, and takes a bucket for what it is", async () => {
    renderApp("/status", answers([200, { ...STATUS, workers: [], store: { kind: "bucket", free_bytes: null, size_bytes: null } }]));
    expect(await screen.findByText("No worker was heard within a day: start one.")).toBeTruthy();
    expect(screen.getByText("a bucket: no limit here")).toBeTruthy();
  });

  it("offers to try again when the answer does not come", async () => {
    const app = renderApp("/status", answers([404, { code: "not_found", detail: "there is nothing at this address" }]));
    const button = await screen.findByRole("button", { name: "Try again" });
    const before = app.requests.filter((each) => each.key === "GET /api/v1/status").length;
    fireEvent.click(button);
    await screen.findByText("The status could not be read");
    expect(app.requests.filter((each) => each.key === "GET /api/v1/status").length).toBeGreaterThan(before);
  });
});
