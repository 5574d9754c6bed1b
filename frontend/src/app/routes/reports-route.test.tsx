import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";

const HOUR = 3_600_000;
const NOON = Date.parse("2026-03-29T12:00Z");
const rate = (events: number, n: number) => ({ value: n === 0 ? null : events / n, low: n === 0 ? null : 0.4, high: n === 0 ? null : 0.9, n, events, exposure: n });
const measure = (name: string, title: string) => ({ name, title, unit: "share", n_of: "episodes", definition: `What ${title} is.`, interval: "95 % Wilson score interval." });
const MEASURES = [measure("success", "Success rate"), measure("unaided", "Unaided success"), measure("autonomous", "Autonomous"), measure("assisted", "Assisted")];
const RANGE = { since_ms: NOON, until_ms: NOON + 2 * HOUR, by: "hour", tz: "UTC" };
const point = (hour: number, n: number) => ({
  since_ms: NOON + hour * HOUR,
  until_ms: NOON + (hour + 1) * HOUR,
  estimates: MEASURES.map(() => rate(Math.floor(n * 0.7), n)),
});
const OVER_TIME = {
  range: RANGE,
  measures: MEASURES,
  total: MEASURES.map(() => rate(7, 10)),
  points: [point(0, 10), point(1, 0)],
  targets: [{ task: "box-close", target: 0.8 }],
  versions: [],
};
const groups = (group: string, label: string) => ({
  range: RANGE,
  measures: MEASURES.slice(1),
  group,
  groups: [{ key: `${group}-1`, label, at_ms: null, estimates: MEASURES.slice(1).map(() => rate(7, 10)) }],
  left_out: 0,
});
const BEST = {
  range: RANGE,
  of: "unaided",
  definition: "d",
  sentence: "v2 of demo: 40 of n = 50 succeeded. It is the best of 2 versions with 97 % probability.",
  versions: [{ key: "v2", label: "v2 of demo", at_ms: 0, chance: 0.97, estimate: rate(40, 50) }],
  left_out: 0,
};
const VERSIONS = [{ id: "v2", number: 2 }, { id: "v1", number: 1 }];
const COMPARED = {
  method: "Differences within each task.",
  of: "unaided",
  first: { label: "v2 of demo", estimates: { success: rate(40, 50) } },
  second: { label: "v1 of demo", estimates: { success: rate(20, 50) } },
  n: [50, 50],
  success: { value: 0.4, low: 0.21, high: 0.55, confidence: 0.9999, strata: 1 },
  interventions: null,
  sentence: "Better with more than 99.9 % confidence, n = 50 and 50.",
  interventions_sentence: "They cannot be compared.",
};

const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", is_staff: true } }],
  "GET /api/v1/tasks": [200, { results: [{ slug: "box-close" }] }],
  "GET /api/v1/robots": [200, { results: [{ id: "robot-1", name: "Arm 1" }] }],
  "GET /api/v1/policy-versions": [200, { results: VERSIONS }],
  "GET /api/v1/metrics/over-time": [200, OVER_TIME],
  "GET /api/v1/metrics/by-task": [200, groups("task", "box-close")],
  "GET /api/v1/metrics/by-robot": [200, groups("robot", "Arm 1")],
  "GET /api/v1/metrics/by-version": [200, groups("version", "v2 of demo")],
  "GET /api/v1/metrics/time-to-target": [200, { definition: "d", run: "demo", started_at: null, tasks: [{ task: "box-close", target: 0.8, reached_at: null, seconds: 5000, at_reaching: null, newest: null }] }],
  "GET /api/v1/metrics/best-version": [200, BEST],
  "GET /api/v1/metrics/compare": [200, COMPARED],
  ...change,
});

const plain = (text: string | null | undefined) => (text ?? "").replaceAll("\u00a0", " ");

describe("reports", () => {
  it("shows value, interval and n, and reads out any bucket by keyboard", async () => {
    renderApp("/reports?tz=UTC", answers());
    const slider = await screen.findByRole("slider", { name: "Success over time, read-out" });
    expect(plain(slider.getAttribute("aria-valuetext"))).toBe(
      "29 Mar 2026, 12:00 to 29 Mar 2026, 13:00: Success rate 70 % (95 % interval 40–90 %, n = 10); Unaided success 70 % (95 % interval 40–90 %, n = 10)",
    );
    fireEvent.keyDown(slider, { key: "ArrowRight" });
    expect(plain(slider.getAttribute("aria-valuetext"))).toContain("Success rate – (n = 0)");
    expect(screen.getAllByText(/What Success rate is\. 95 % Wilson/)).toBeTruthy();
    expect(screen.getByText("1 h 23 min")).toBeTruthy();
  });

  it("leads from any point and group to its episodes", async () => {
    renderApp("/reports?tz=UTC&task=box-close", answers());
    const panel = within((await screen.findByRole("slider", { name: "Success over time, read-out" })).closest("section") as HTMLElement);
    expect(panel.getByRole("link", { name: "Episodes of this point" }).getAttribute("href")).toBe(
      "/episodes?origin=online&archived=any&ended_from=2026-03-29T12%3A00%3A00.000Z&ended_until=2026-03-29T13%3A00%3A00.000Z&task=box-close",
    );
    const robots = within(screen.getByRole("heading", { name: "Success by robot" }).closest("section") as HTMLElement);
    fireEvent.click(robots.getByRole("tab", { name: "Table" }));
    expect(robots.getByRole("link", { name: "Show the episodes of Arm 1" }).getAttribute("href")).toContain("&robot=robot-1");
  });

  it("answers which version is best at a task in one click", async () => {
    const { router, requests } = renderApp("/reports?tz=UTC", answers());
    fireEvent.click(await screen.findByRole("link", { name: "Best version at box-close" }));
    expect(await screen.findByText(/best of 2 versions with 97 % probability/)).toBeTruthy();
    expect(router.state.location.search).toBe("?tz=UTC&view=versions&task=box-close");
    expect(requests.find(({ key }) => key.endsWith("best-version"))?.query.getAll("task")).toEqual(["box-close"]);
  });

  it("compares two versions in a sentence", async () => {
    renderApp("/reports?tz=UTC&view=versions&first=v2&second=v1", answers());
    const sentence = await screen.findByText(/^Better with more than 99\.9 % confidence, n = 50 and 50\./);
    expect(plain(sentence.textContent)).toContain("Difference +40 percentage points (95 % interval +21 to +55).");
  });

  it("compares two periods in a sentence, and leads to the episodes of both", async () => {
    const { router, requests } = renderApp(
      "/reports/periods?tz=UTC&first_from=2026-03-25&first_until=2026-03-31&second_from=2026-03-18&second_until=2026-03-24",
      answers(),
    );
    expect(await screen.findByText(/^Better with more than 99\.9 % confidence, n = 50 and 50\./)).toBeTruthy();
    const asked = requests.findLast(({ key }) => key.endsWith("/compare"))?.query;
    expect(["first_since", "first_until", "second_since", "second_until"].map((name) => asked?.get(name))).toEqual([
      "2026-03-25T00:00:00.000Z",
      "2026-04-01T00:00:00.000Z",
      "2026-03-18T00:00:00.000Z",
      "2026-03-25T00:00:00.000Z",
    ]);
    const link = screen.getByRole("link", { name: "Show the episodes of 2026-03-18 to 2026-03-24" });
    expect(link.getAttribute("href")).toContain("ended_until=2026-03-25");
    fireEvent.click(screen.getByRole("checkbox", { name: "box-close" }));
    fireEvent.change(screen.getByLabelText("Period, last day"), { target: { value: "2026-03-24" } });
    expect(router.state.location.search).toContain("first_until=2026-03-24");
    await waitFor(() => expect(requests.findLast(({ key }) => key.endsWith("/compare"))?.query.get("task")).toBe("box-close"));
    fireEvent.change(screen.getByLabelText("Period, last day"), { target: { value: "2026-03-01" } });
    expect(screen.getByText("A period's first day lies after its last one.")).toBeTruthy();
  });

  it("keeps filters in the URL and asks for them", async () => {
    const { router, requests } = renderApp("/reports?tz=UTC", answers());
    await screen.findByRole("slider", { name: "Success over time, read-out" });
    fireEvent.click(screen.getByRole("checkbox", { name: "Arm 1" }));
    fireEvent.change(screen.getByRole("combobox", { name: "Range" }), { target: { value: "7d" } });
    expect(router.state.location.search).toBe("?tz=UTC&robot=robot-1&range=7d");
    const asked = requests.findLast(({ key }) => key.endsWith("over-time"))?.query;
    expect([asked?.get("robot"), asked?.get("last_s")]).toEqual(["robot-1", "604800"]);
  });

  it("says why a range shows nothing", async () => {
    renderApp("/reports?tz=UTC&range=custom&from=2026-03-30&until=2026-03-29", answers());
    expect(await screen.findByText("The first day lies after the last one.")).toBeTruthy();
  });

  it("says when nothing is there, and when it cannot be read", async () => {
    const empty = { ...OVER_TIME, points: [point(0, 0)] };
    const problem = { code: "invalid_request", title: "Unprocessable", detail: "There is no time zone.", status: 422 };
    renderApp("/reports?tz=UTC", answers({ "GET /api/v1/metrics/over-time": [200, empty], "GET /api/v1/metrics/by-robot": [422, problem] }));
    expect((await screen.findAllByText("No episodes here")).length).toBe(2);
    expect(await screen.findByText("There is no time zone.")).toBeTruthy();
  });
});
