import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import type { ExportCheck, ExportRow } from "@/features/exports/api/exports";
import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn, VIEWER } from "@/testing/session-fixtures";

const ID = "11111111-1111-1111-1111-111111111111";
const row = (change: Partial<ExportRow> = {}): ExportRow => ({
  id: ID,
  source: { name: "pushes", dataset: "d1", version: 3 },
  format: "lerobot-v3.0",
  destination: "",
  folder: "pushes-v3-lerobot-v3.0-11111111",
  state: "done",
  is_cancelling: false,
  episodes: 12,
  frames: 1200,
  frames_total: 1200,
  bytes_read: 5000,
  bytes_total: 5000,
  file: "",
  bytes_per_s: 0,
  eta_s: null,
  files: 9,
  size_bytes: 3_400_000,
  sha256: "ab".repeat(32),
  resumed_files: 0,
  error: null,
  requested_by_name: "mara",
  created_at: "2026-11-26T10:00:00Z",
  expires_at: "2026-12-10T10:00:00Z",
  ...change,
});
const check = (change: Partial<ExportCheck> = {}): ExportCheck => ({
  source: "pushes v3",
  problems: [],
  episodes: 12,
  frames: 1200,
  size_bytes: 3_400_000,
  checked: 12,
  ...change,
});
const option = { name: "episodes", title: "Episodes in a file", unit: "", default: 1000, least: 1, most: 1000 };
const CHOICES = {
  formats: [
    { name: "lerobot-v3.0", title: "LeRobot v3.0", options: [option] },
    { name: "raw", title: "As recorded", options: [] },
  ],
  destinations: ["lab-bucket"],
  keep_days: 14,
};

function open(rows: readonly ExportRow[], search = "", change: Record<string, Answer> = {}) {
  const app = renderApp(`/datasets/exports${search}`, {
    "GET /api/v1/session": signedIn(),
    "GET /api/v1/exports": [200, { next: null, previous: null, results: rows }],
    "GET /api/v1/exports/formats": [200, CHOICES],
    "POST /api/v1/exports/check": [200, check()],
    ...change,
  });
  const sent = (key: string) => app.requests.filter((request) => request.key === key).map(({ body }) => body);
  return { ...app, sent };
}

describe("exports", () => {
  it("shows how far one is, and cancels it", async () => {
    const running = row({ state: "running", frames: 300, bytes_read: 1000, bytes_per_s: 2_000_000, eta_s: 95, file: "data/chunk-000/file-001.parquet" });
    const { sent } = open([{ ...running, size_bytes: null, files: null }], "", { [`POST /api/v1/exports/${ID}/cancel`]: [200, running] });
    const line = within((await screen.findAllByRole("row"))[1] as HTMLElement);
    expect(line.getByText("300 of 1,200 frames, 2.0 MB/s, about 1 min left")).toBeTruthy();
    expect(line.getByRole("progressbar").getAttribute("aria-valuenow")).toBe("1000");
    expect(line.queryByRole("link", { name: /Download/ })).toBeNull();
    fireEvent.click(line.getByRole("button", { name: "Cancel pushes v3" }));
    await waitFor(() => expect(sent(`POST /api/v1/exports/${ID}/cancel`)).toHaveLength(1));
  });

  it("offers a finished one to browsers and to curl", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    Object.defineProperty(navigator, "clipboard", { value: { writeText }, configurable: true });
    open([row({ resumed_files: 4 })]);
    const link = await screen.findByRole("link", { name: "Download pushes v3" });
    expect(link.getAttribute("href")).toBe(`/api/v1/exports/${ID}/download`);
    expect(screen.getByText(/went on after 4.files/)).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Download pushes v3 with curl" }));
    fireEvent.click(screen.getByRole("button", { name: /^Copy: / }));
    await screen.findByText("Copied.");
    const line = `curl -fC - -H "Authorization: Bearer $SOP_TOKEN" -o pushes-v3-lerobot-v3.0-11111111.tar ${location.origin}/api/v1/exports/${ID}/download`;
    expect(writeText).toHaveBeenCalledWith(line);
  });

  it("offers nothing to who may not export", async () => {
    open([row({}), row({ id: "x2", state: "failed" })], "", { "GET /api/v1/session": signedIn(VIEWER) });
    const [remove, other] = await screen.findAllByRole<HTMLButtonElement>("button", { name: /^Delete/ });
    const retry = screen.getByRole<HTMLButtonElement>("button", { name: /^Retry/ });
    for (const button of [remove, other, retry]) {
      expect([button?.disabled, button?.title]).toEqual([true, "Your role does not let you export."]);
    }
    expect(screen.queryByRole("link", { name: /^Download/ })).toBeNull();
  });

  it("says what went wrong, in words and with its code, and retries", async () => {
    const failed = row({ state: "failed", error: { code: "disk_full", message: "the disk is full" }, size_bytes: null, files: null });
    const { sent } = open([failed], "", { [`POST /api/v1/exports/${ID}/retry`]: [200, row({ state: "queued" })] });
    expect(await screen.findByText("disk_full")).toBeTruthy();
    expect(screen.getByText("Nothing of it is left on the disk. Make room, then retry.")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Retry pushes v3" }));
    await waitFor(() => expect(sent(`POST /api/v1/exports/${ID}/retry`)).toHaveLength(1));
  });

  it("names every problem before it starts", async () => {
    const problems = ["camera 'front': 640x480 in 8 episodes, 320x240 in 4 episodes", "action axes differ"];
    const refused: Answer = [200, check({ problems, checked: 6 })];
    const { sent, answers } = open([], "?version=v1", { "POST /api/v1/exports/check": refused, "POST /api/v1/exports": [202, row({ state: "queued" })] });
    for (const problem of problems) expect(await screen.findByText(problem)).toBeTruthy();
    expect(screen.getByText(/6 of 12.episodes were looked at/)).toBeTruthy();
    const start = screen.getByRole<HTMLButtonElement>("button", { name: "Start the export" });
    expect(start.disabled).toBe(true);
    answers["POST /api/v1/exports/check"] = [200, check()];
    fireEvent.change(screen.getByRole("combobox", { name: "Format" }), { target: { value: "raw" } });
    await waitFor(() => expect(start.disabled).toBe(false));
    fireEvent.change(screen.getByRole("combobox", { name: "Destination" }), { target: { value: "lab-bucket" } });
    await waitFor(() => expect(start.disabled).toBe(false));
    fireEvent.click(start);
    await waitFor(() => expect(sent("POST /api/v1/exports")).toEqual([{ dataset_version: "v1", format: "raw", options: {}, destination: "lab-bucket" }]));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  });

  it("takes the library's filter from the address, and options within their bounds alone", async () => {
    const filter = { task: ["push"] };
    const { sent, router } = open([], `?${new URLSearchParams({ filter: JSON.stringify(filter) })}`);
    await screen.findByText("Nothing stands in its way.");
    const count = screen.getByRole("spinbutton", { name: "Episodes in a file" });
    const start = screen.getByRole<HTMLButtonElement>("button", { name: "Start the export" });
    fireEvent.change(count, { target: { value: "0" } });
    await waitFor(() => expect(start.disabled).toBe(true));
    fireEvent.change(count, { target: { value: "50" } });
    await waitFor(() => expect(start.disabled).toBe(false));
    expect(sent("POST /api/v1/exports/check").at(-1)).toEqual({ filter, format: "lerobot-v3.0", options: { episodes: 50 }, destination: "" });
    fireEvent.click(screen.getByRole("button", { name: "Close" }));
    await waitFor(() => expect(router.state.location.search).toBe(""));
  });

  it("says when there is none, and when they cannot be read", async () => {
    open([]);
    expect(await screen.findByText("No export yet")).toBeTruthy();
  });
});
