import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { splitsOf, splitsProblem } from "@/features/datasets/dataset-words";
import { compared, dataset, preview, version, versionDetail } from "@/testing/dataset-fixtures";
import { counts, episode } from "@/testing/episode-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn, VIEWER } from "@/testing/session-fixtures";

const PATH = "/api/v1/datasets";
const ONE = `${PATH}/d1`;
const session: Record<string, Answer> = { "GET /api/v1/session": signedIn() };
const page = (...results: readonly unknown[]): Answer => [200, { next: null, previous: null, results }];
const problem = (status: number, code: string, detail: string): Answer => [status, { code, title: code, detail, status }];

const ofOne = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  ...session,
  [`GET ${ONE}`]: [200, dataset()],
  [`GET ${ONE}/versions`]: page(version(), version({ number: 1, id: "v1", episodes: 9 })),
  [`GET ${ONE}/versions/2`]: [200, versionDetail()],
  [`GET ${ONE}/versions/1/compare/2`]: [200, compared({ added: { count: 1, episodes: [{ episode: "e7f00000-0000" }] } })],
  ...change,
});
const asked = (app: ReturnType<typeof renderApp>, key: string) => app.requests.filter((request) => request.key === key);
const type = (element: HTMLElement, value: string) => fireEvent.change(element, { target: { value } });

describe("datasets", () => {
  it.each([
    [0, "3 episodes collected for the next version, all of them in v2 already."],
    [1, "3 episodes collected for the next version, 1 of them new since v2."],
    [3, "3 episodes collected for the next version, all of them new since v2."],
  ])("says of what is collected that %i are new since the newest version", async (fresh, words) => {
    renderApp("/datasets/d1", ofOne({ [`GET ${ONE}`]: [200, dataset({ collected_new: fresh })] }));
    const text = (await screen.findByText(/collected for the next version/)).textContent;
    expect(text.replaceAll("\u00a0", " ")).toContain(words);
  });

  it("lists them with what is frozen and collected", async () => {
    renderApp("/datasets", { ...session, [`GET ${PATH}`]: page(dataset(), dataset({ id: "d2", name: "new", newest_version: null, newest_at: null })) });
    const rows = within(await screen.findByRole("table", { name: "Datasets" })).getAllByRole("row");
    expect(rows[1]?.textContent).toContain("pushes");
    expect(rows[1]?.textContent).toContain("v2");
    expect(rows[2]?.textContent).toContain("none");
  });

  it("says what to do while there is none, and makes one", async () => {
    const app = renderApp("/datasets", {
      ...ofOne(),
      [`GET ${PATH}`]: page(),
      [`POST ${PATH}`]: problem(409, "name_taken", "a dataset named 'pushes' exists"),
    });
    expect(await screen.findByText("No dataset yet")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "New dataset" }));
    type(screen.getByLabelText("Name"), " pushes ");
    fireEvent.click(screen.getByRole("button", { name: "Make the dataset" }));
    expect(await screen.findByText("Nothing was saved. a dataset named 'pushes' exists")).toBeTruthy();
    expect(asked(app, `POST ${PATH}`)[0]?.body).toEqual({ name: "pushes", description: "", licence: "" });
    app.answers[`POST ${PATH}`] = [201, dataset()];
    fireEvent.click(screen.getByRole("button", { name: "Make the dataset" }));
    await waitFor(() => expect(app.router.state.location.pathname).toBe("/datasets/d1"));
  });

  it("shows the newest version whole, and what changed since the one before", async () => {
    renderApp("/datasets/d1", ofOne());
    expect(await screen.findByRole("heading", { name: "Version 2" })).toBeTruthy();
    expect(screen.getByText("train 80 % = 8, val 20 % = 2")).toBeTruthy();
    const action = within(screen.getByRole("table", { name: "Statistics of action" }));
    expect(action.getAllByRole("row")[2]?.textContent).toBe("y-1.001.000.2000.400");
    expect(screen.getByRole("table", { name: "Episodes by policy version" }).textContent).toContain("v12 of demo");
    expect(await screen.findByRole("link", { name: "e7f00000" })).toBeTruthy();
    expect(screen.getByText(/^- Version 2, frozen/)).toBeTruthy();
  });

  it("shows how far the steps are read", async () => {
    const { statistics } = versionDetail();
    const describing = versionDetail({ state: "describing", statistics: { ...statistics, features: [], steps_read: { episodes: 4, unreadable: 0 } } });
    renderApp("/datasets/d1", ofOne({ [`GET ${ONE}/versions/2`]: [200, describing] }));
    expect((await screen.findByRole("progressbar")).getAttribute("aria-valuenow")).toBe("4");
    expect(screen.getByText("Reading the steps: 4 of 10 episodes")).toBeTruthy();
  });

  it("saves notes over the revision that was read", async () => {
    const app = renderApp("/datasets/d1", ofOne({ [`PATCH ${ONE}/versions/2`]: problem(412, "precondition_failed", "Newer.") }));
    type(await screen.findByRole("textbox", { name: "Notes" }), "better");
    fireEvent.click(screen.getByRole("button", { name: "Save notes" }));
    expect(await screen.findByText("The notes were not saved. Newer.")).toBeTruthy();
    expect(asked(app, `PATCH ${ONE}/versions/2`)[0]?.body).toEqual({ notes: "better" });
  });

  it("starts a run on the dataset alone", async () => {
    const app = renderApp(
      "/datasets/d1",
      ofOne({
        "GET /api/v1/policy-versions": page({ id: "p1", run: "r1", number: 3 }),
        "GET /api/v1/training-runs": page({ id: "r1", name: "demo" }),
        [`POST ${ONE}/versions/2/train`]: problem(422, "invalid_request", "a run named 'pushes v2' exists"),
      }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "Train" }));
    await screen.findByRole("option", { name: "v3 of demo" });
    fireEvent.click(screen.getByRole("button", { name: "Start training" }));
    expect(await screen.findByText("No run was started. a run named 'pushes v2' exists")).toBeTruthy();
    expect(asked(app, `POST ${ONE}/versions/2/train`)[0]?.body).toEqual({
      name: "pushes v2",
      base: "p1",
      split: "train",
      takes_online: false,
      algorithm: "hg_dagger",
      target_steps: 5000,
    });
  });

  it("shows it to who may change nothing, and says why not", async () => {
    renderApp("/datasets/d1", ofOne({ "GET /api/v1/session": signedIn(VIEWER) }));
    await screen.findByRole("heading", { name: "Version 2" });
    for (const [name, doing] of [
      ["Change", "change datasets"],
      ["Archive", "change datasets"],
      ["Take all off", "change datasets"],
      ["Freeze a version", "change datasets"],
      ["Save notes", "change datasets"],
      ["Train", "start training"],
      ["Export", "export"],
    ] as const) {
      const button = screen.getByRole<HTMLButtonElement>("button", { name });
      expect([button.disabled, button.title]).toEqual([true, `Your role does not let you ${doing}.`]);
    }
    expect(screen.queryByRole("link", { name: "Freeze a version" })).toBeNull();
  });

  it("lists them to who may make none", async () => {
    renderApp("/datasets", { "GET /api/v1/session": signedIn(VIEWER), [`GET ${PATH}`]: page(dataset()) });
    expect((await screen.findByRole<HTMLButtonElement>("button", { name: "New dataset" })).disabled).toBe(true);
  });

  it("says when there is no such dataset", async () => {
    renderApp("/datasets/d1", { ...session, [`GET ${ONE}`]: problem(404, "not_found", "") });
    expect(await screen.findByText("There is no such dataset")).toBeTruthy();
  });
});

describe("freezing", () => {
  it("freezes what was counted, and counts again when it has changed", async () => {
    const app = renderApp(
      "/datasets/d1/freeze",
      ofOne({
        "GET /api/v1/episodes/counts": [200, counts(0)],
        [`POST ${ONE}/preview`]: [200, preview()],
        [`POST ${ONE}/versions`]: problem(409, "selection_changed", "look again"),
      }),
    );
    type(await screen.findByLabelText("Seed of the split"), "7");
    fireEvent.click(await screen.findByRole("button", { name: /^Freeze 3.episodes$/ }));
    expect(await screen.findByText("Nothing was frozen. look again")).toBeTruthy();
    await waitFor(() => expect(asked(app, `POST ${ONE}/preview`)).toHaveLength(2));
    app.answers[`POST ${ONE}/versions`] = [201, versionDetail()];
    fireEvent.click(screen.getByRole("button", { name: /^Freeze 3.episodes$/ }));
    await waitFor(() => expect(app.router.state.location.search).toBe("?version=2"));
    expect(asked(app, `POST ${ONE}/versions`)[1]?.body).toEqual({
      collected: true,
      splits: { train: 1 },
      is_stratified: false,
      seed: 7,
      notes: "",
      expected: "f".repeat(32),
    });
  });

  it("counts what the library's filter finds", async () => {
    const task = [{ value: "box-close", label: "box-close", count: 3 }];
    const app = renderApp(
      "/datasets/d1/freeze?episodes=filter&splits=train:90,val:10",
      ofOne({
        "GET /api/v1/episodes/counts": [200, counts(3, { task })],
        [`POST ${ONE}/preview`]: [200, preview({ splits: [{ name: "train", episodes: 3 }, { name: "val", episodes: 0 }] })],
      }),
    );
    fireEvent.click(await screen.findByRole("checkbox", { name: /^box-close/ }));
    await waitFor(() => expect(asked(app, `POST ${ONE}/preview`)).toHaveLength(2));
    expect(asked(app, `POST ${ONE}/preview`)[1]?.body).toEqual({
      filter: { task: ["box-close"] },
      splits: { train: 0.9, val: 0.1 },
      is_stratified: false,
    });
    expect(await screen.findByText("No episode would be in val.")).toBeTruthy();
    expect(screen.getByRole<HTMLButtonElement>("button", { name: /^Freeze 3.episodes$/ }).disabled).toBe(true);
  });

  it("asks nothing while the shares are impossible", async () => {
    const app = renderApp("/datasets/d1/freeze?splits=train:90,val:20", ofOne({ "GET /api/v1/episodes/counts": [200, counts(0)] }));
    expect(await screen.findByText("The shares sum to 110 %, not to 100 %.")).toBeTruthy();
    expect(asked(app, `POST ${ONE}/preview`)).toEqual([]);
  });

  it.each([
    ["train:100", null],
    ["train:33.33,val:33.33,test:33.34", null],
    ["train:50,train:50", "Two splits have the same name."],
    ["Train:100", "A split's name has lower-case letters, digits, - and _."],
    ["train:100,val:0", "Each share lies above 0 % and not above 100 %."],
    ["train:", "Each share lies above 0 % and not above 100 %."],
    ["", "A split's name has lower-case letters, digits, - and _."],
  ])("judges the splits %s", (text, expected) => {
    expect(splitsProblem(splitsOf(text))).toBe(expected);
  });
});

describe("adding to a dataset from the library", () => {
  const library = (change: Record<string, Answer> = {}) => ({
    ...session,
    "GET /api/v1/episodes": page(episode()),
    "GET /api/v1/episodes/counts": [200, counts(1)] as Answer,
    "GET /api/v1/saved-filters": page(),
    [`GET ${PATH}`]: page(dataset()),
    ...change,
  });

  it("collects the ticked episodes", async () => {
    const app = renderApp("/episodes", library({ [`POST ${ONE}/collected`]: [200, { changed: 1, collected: 4 }] }));
    fireEvent.click(await screen.findByRole("checkbox", { name: /^Tick box-close/ }));
    fireEvent.click(screen.getByRole("button", { name: "Add to dataset" }));
    await screen.findByRole("option", { name: "pushes" });
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Add" }));
    expect(await screen.findByText("Added 1 episode to pushes; 4 episodes collected.")).toBeTruthy();
    expect(asked(app, `POST ${ONE}/collected`)[0]?.body).toEqual({ ids: ["e1"] });
    expect(screen.queryByRole("button", { name: "Add to dataset" })).toBeNull();
  });
});
