import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { counts, episode } from "@/testing/episode-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn, VIEWER } from "@/testing/session-fixtures";

const FACETS = {
  task: [
    { value: "box-close", label: "box-close", count: 2 },
    { value: "shelf-place", label: "shelf-place", count: 1 },
  ],
  outcome: [{ value: "success", label: "success", count: 3 }],
};
const ROWS = [
  episode({ id: "e1" }),
  episode({ id: "e2", robot_name: null, outcome: "failure", outcome_source: "person", environment_outcome: "timeout", human_steps: 0 }),
];
const DONE = { batch: "b1", changed: 2, unchanged: 0 };

const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(),
  "GET /api/v1/episodes": [200, { next: "http://console/api/v1/episodes?cursor=abc", previous: null, results: ROWS }],
  "GET /api/v1/episodes/counts": [200, counts(3, FACETS)],
  "GET /api/v1/saved-filters": [200, { results: [] }],
  ...change,
});

async function open(search = "", change: Record<string, Answer> = {}) {
  const app = renderApp(`/episodes${search}`, answers(change));
  await screen.findByRole("table", { name: "Episodes" });
  const asked = (key: string) => app.requests.filter((request) => request.key === key);
  return { ...app, asked };
}

const tick = (name: RegExp) => fireEvent.click(screen.getByRole("checkbox", { name }));
const bulk = "POST /api/v1/episodes/labels";

describe("library", () => {
  it("shows what happened in each episode and leads to it", async () => {
    await open();
    const first = within(screen.getAllByRole("row")[1] as HTMLElement);
    for (const text of ["box-close", "arm-1", "v12", "Success", "100", "40 %", "bea", "blurred"]) {
      expect(first.getByText(text)).toBeTruthy();
    }
    expect(first.getByRole("link").getAttribute("href")).toBe("/episodes/e1");
    const second = within(screen.getAllByRole("row")[2] as HTMLElement);
    expect(second.getByText("said by a person; the environment said timeout")).toBeTruthy();
    expect(await screen.findByText("3 found")).toBeTruthy();
  });

  it("keeps filters and order in the URL and asks for them", async () => {
    const { router, asked } = await open();
    fireEvent.click(await screen.findByRole("checkbox", { name: /shelf-place/ }));
    fireEvent.change(screen.getByRole("combobox", { name: "Order" }), { target: { value: "-share" } });
    fireEvent.change(screen.getByRole("combobox", { name: "Human steps" }), { target: { value: "half" } });
    expect(router.state.location.search).toBe("?task=shelf-place&sort=-share&share_min=0.5");
    await waitFor(() => expect(asked("GET /api/v1/episodes").at(-1)?.query.get("share_min")).toBe("0.5"));
    const query = asked("GET /api/v1/episodes").at(-1)?.query;
    expect([query?.getAll("task"), query?.get("sort")]).toEqual([["shelf-place"], "-share"]);
    expect(asked("GET /api/v1/episodes/counts").at(-1)?.query.get("sort")).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Clear all filters" }));
    expect(router.state.location.search).toBe("");
  });

  it("marks what the store lost, and finds only that", async () => {
    const rows = [episode({ id: "e1", damage: "front.mp4 is missing" }), episode({ id: "e2" })];
    const { asked } = await open("", { "GET /api/v1/episodes": [200, { next: null, previous: null, results: rows }] });
    const marked = within(screen.getAllByRole("row")[1] as HTMLElement);
    expect(marked.getByTitle("front.mp4 is missing").textContent).toBe("Damaged");
    expect(marked.getByText(": front.mp4 is missing")).toBeTruthy();
    expect(within(screen.getAllByRole("row")[2] as HTMLElement).queryByText("Damaged")).toBeNull();
    fireEvent.change(screen.getByRole("combobox", { name: "Stored objects" }), { target: { value: "only" } });
    await waitFor(() => expect(asked("GET /api/v1/episodes").at(-1)?.query.get("damaged")).toBe("only"));
    expect(asked("GET /api/v1/episodes/counts").at(-1)?.query.get("damaged")).toBe("only");
  });

  it("takes its filters from the URL", async () => {
    const { asked } = await open("?task=box-close&text=lid&archived=only&unknown=1");
    const query = asked("GET /api/v1/episodes")[0]?.query;
    expect(`${query}`).toBe("task=box-close&text=lid&archived=only&sort=-registered&page_size=100");
    expect(screen.getByRole<HTMLInputElement>("searchbox").value).toBe("lid");
    expect((await screen.findByRole<HTMLInputElement>("checkbox", { name: /^box-close/ })).checked).toBe(true);
  });

  it("searches a moment after the last key", async () => {
    const { router } = await open();
    fireEvent.change(screen.getByRole("searchbox"), { target: { value: "lid " } });
    await waitFor(() => expect(router.state.location.search).toBe("?text=lid"));
    expect(screen.getByRole<HTMLInputElement>("searchbox").value).toBe("lid ");
  });

  it("loads more from where the list ended", async () => {
    const { asked } = await open();
    fireEvent.click(screen.getByRole("button", { name: "Load more" }));
    await waitFor(() => expect(asked("GET /api/v1/episodes").at(-1)?.query.get("cursor")).toBe("abc"));
    expect(await screen.findByText("4 episodes shown")).toBeTruthy();
  });

  it("changes ticked episodes and takes it back", async () => {
    const { asked } = await open("", { [bulk]: [200, DONE], "POST /api/v1/episodes/labels/b1/undo": [200, { ...DONE, batch: "b2" }] });
    expect(screen.queryByRole("region", { name: "Ticked episodes" })).toBeNull();
    tick(/^Tick all that are shown/);
    expect(screen.getByRole<HTMLInputElement>("checkbox", { name: "Tick all that are shown" }).checked).toBe(true);
    fireEvent.click(screen.getByRole("button", { name: "Archive" }));
    expect(await screen.findByText("Changed 2 episodes.")).toBeTruthy();
    expect(asked(bulk)[0]?.body).toEqual({ ids: ["e1", "e2"], change: { is_archived: true } });
    expect(screen.queryByRole("region", { name: "Ticked episodes" })).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Undo" }));
    expect(await screen.findByText("Taken back for 2 episodes.")).toBeTruthy();
  });

  it("changes everything that the filter finds", async () => {
    const { asked } = await open("?task=box-close&share_max=0", { [bulk]: [200, DONE] });
    tick(/^Tick all that are shown/);
    fireEvent.click(await screen.findByRole("button", { name: /^Tick all 3.episodes found$/ }));
    fireEvent.change(screen.getByRole("textbox", { name: "Tag to add" }), { target: { value: " night " } });
    fireEvent.click(screen.getByRole("button", { name: "Add" }));
    await screen.findByText(/^Changed/);
    expect(asked(bulk)[0]?.body).toEqual({ filter: { task: ["box-close"], share_max: "0" }, change: { add_tags: ["night"] } });
  });

  it("unticks everything when the filter changes", async () => {
    await open();
    tick(/^Tick box-close, arm-1/);
    expect(screen.getByText("1 episode ticked")).toBeTruthy();
    fireEvent.click(await screen.findByRole("checkbox", { name: /shelf-place/ }));
    expect(screen.queryByText(/ ticked$/)).toBeNull();
  });

  it("says when a change was refused, and keeps what is ticked", async () => {
    const problem = { code: "invalid_request", title: "Unprocessable", detail: "Not so many.", status: 422 };
    await open("", { [bulk]: [422, problem] });
    tick(/^Tick box-close, arm-1/);
    fireEvent.change(screen.getByRole("combobox", { name: "Set outcome" }), { target: { value: "failure" } });
    expect(await screen.findByText("Nothing was changed. Not so many.")).toBeTruthy();
    expect(screen.getByText("1 episode ticked")).toBeTruthy();
  });

  it("lets who may not label many tick them, and says why nothing follows", async () => {
    await open("", { "GET /api/v1/session": signedIn(VIEWER) });
    tick(/^Tick box-close, arm-1/);
    const bar = within(screen.getByRole("region", { name: "Ticked episodes" }));
    expect(bar.getByText("Your role does not let you label many episodes at once.")).toBeTruthy();
    expect(bar.getByRole("button", { name: "Archive" }).closest("fieldset:disabled")).not.toBeNull();
    for (const name of ["Add to dataset", "Export"]) expect(bar.getByRole<HTMLButtonElement>("button", { name }).disabled).toBe(true);
  });

  it("keeps a filter under a name and goes back to it", async () => {
    const saved = { id: "f1", name: "hard ones", query: { outcome: ["failure"], sort: "-share" } };
    const { asked, router } = await open("?outcome=failure", {
      "GET /api/v1/saved-filters": [200, { results: [saved] }],
      "POST /api/v1/saved-filters": [201, saved],
    });
    fireEvent.change(await screen.findByRole("combobox", { name: "Saved filters" }), { target: { value: "f1" } });
    expect(router.state.location.search).toBe("?outcome=failure&sort=-share");
    fireEvent.click(screen.getByRole("button", { name: "Saved filters" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Keep what is shown now as" }), { target: { value: "again" } });
    fireEvent.click(screen.getByRole("button", { name: "Keep" }));
    await screen.findByText("The filter is kept as “again”.");
    expect(asked("POST /api/v1/saved-filters")[0]?.body).toEqual({ name: "again", query: { outcome: ["failure"], sort: "-share" } });
  });

  it.each([
    ["", "No episode yet"],
    ["?task=x", "No episode fits these filters"],
  ])("says why nothing is shown (%s)", async (search, text) => {
    renderApp(`/episodes${search}`, answers({ "GET /api/v1/episodes": [200, { next: null, previous: null, results: [] }] }));
    expect(await screen.findByText(text)).toBeTruthy();
  });

  it("says when the list cannot be read", async () => {
    const problem = { code: "invalid", title: "Bad Request", detail: "Not like this.", status: 400 };
    renderApp("/episodes", answers({ "GET /api/v1/episodes": [400, problem] }));
    expect(await screen.findByText("Not like this.")).toBeTruthy();
  });
});
