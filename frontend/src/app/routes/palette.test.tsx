import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it } from "vitest";

import type { Permission } from "@/lib/permissions";
import { robot, snapshot } from "@/testing/fleet-fixtures";
import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn, VIEWER } from "@/testing/session-fixtures";

const ID = "0b6c2c7e-5b0e-4a57-9f0c-0d5b6f1f2a3b";
const answers = (permissions?: readonly Permission[]): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(permissions),
  "GET /api/v1/exports": [200, { next: null, previous: null, results: [] }],
  "GET /api/v1/exports/formats": [200, { formats: [], destinations: [], keep_days: 14 }],
  "GET /api/v1/tasks": [200, { results: [{ id: "t1", slug: "shelf-place", instruction: "Place the puck." }] }],
  "GET /api/v1/policy-versions": [200, { results: [{ id: "v-12", number: 12 }] }],
  "GET /api/v1/datasets": [200, { results: [{ id: "d1", name: "pushes" }] }],
  [`GET /api/v1/episodes/${ID}`]: [200, { id: ID, task: "shelf-place" }],
});

async function open(permissions?: readonly Permission[]) {
  const app = renderApp("/datasets/exports", answers(permissions));
  await screen.findByRole("heading", { name: "Exports" });
  act(() => app.sockets.at(-1)?.deliver(1, snapshot({ robots: [robot()] })));
  fireEvent.keyDown(window, { key: "k", ctrlKey: true });
  const field = await screen.findByRole("combobox", { name: /^Page, robot/ });
  const type = (value: string) => fireEvent.change(field, { target: { value } });
  return { ...app, field, type };
}

const list = () => within(screen.getByRole("listbox", { name: "What fits" }));
const options = () => list().getAllByRole("option").map((option) => option.textContent);
const active = (field: HTMLElement) => document.getElementById(field.getAttribute("aria-activedescendant") ?? "")?.textContent;

describe("the palette", () => {
  beforeEach(() => localStorage.clear());

  it("leads to a page by the keyboard alone, and has it first the next time", async () => {
    const { router, field, type } = await open();
    type("helq");
    expect(options()).toEqual(["Search episodes for “helq”Search"]);
    type("help");
    expect(active(field)).toBe("HelpPage");
    fireEvent.keyDown(field, { key: "Enter" });
    await waitFor(() => expect(router.state.location.pathname).toBe("/help"));
    fireEvent.keyDown(window, { key: "k", metaKey: true });
    const again = await screen.findByRole("combobox", { name: /^Page, robot/ });
    expect(active(again)).toBe("HelpPage");
    fireEvent.keyDown(again, { key: "ArrowUp" });
    expect(active(again)).toBe(options().at(-1));
    fireEvent.keyDown(again, { key: "ArrowDown" });
    expect(active(again)).toBe("HelpPage");
  });

  it("stays when a text is marked by dragging out of it, and closes by a press beside it", async () => {
    const { field } = await open();
    const dialog = screen.getByRole("dialog", { name: "Go to or do" });
    fireEvent.pointerDown(field);
    fireEvent.click(dialog); // the browser clicks what holds both ends of the drag
    expect(screen.getByRole("dialog", { name: "Go to or do" })).toBe(dialog);
    fireEvent.pointerDown(dialog);
    fireEvent.click(dialog);
    await waitFor(() => expect(screen.queryByRole("dialog", { name: "Go to or do" })).toBeNull());
  });

  it("takes the focus along to the page that it leads to", async () => {
    const { field, type, router } = await open();
    type("status");
    fireEvent.keyDown(field, { key: "Enter" });
    await waitFor(() => expect(router.state.location.pathname).toBe("/status"));
    await waitFor(() => expect(document.activeElement).toBe(screen.getByRole("main")));
  });

  it("finds robots, tasks, versions and datasets", async () => {
    const { type } = await open();
    type("arm-1");
    await waitFor(() => expect(options()[0]).toBe("arm-1Robot"));
    type("v12");
    await waitFor(() => expect(options()[0]).toBe("v12Version"));
    type("shelf");
    expect(options()[0]).toBe("shelf-placeTask");
    type("push");
    await waitFor(() => expect(options()[0]).toBe("pushesDataset"));
  });

  it("asks for datasets once typing rests, and for an episode by its whole id alone", async () => {
    const { requests, router, field, type } = await open();
    for (const text of ["p", "pu", "pus", "push"]) type(text);
    await waitFor(() => expect(options()[0]).toBe("pushesDataset"));
    expect(requests.filter(({ key }) => key === "GET /api/v1/datasets").map(({ query }) => query.get("text"))).toEqual(["push"]);
    type(ID.slice(0, 20));
    type(ID.toUpperCase());
    await waitFor(() => expect(options()[0]).toBe(`${ID}, shelf-placeEpisode`));
    expect(requests.filter(({ key }) => key.includes("/episodes/"))).toHaveLength(1);
    fireEvent.keyDown(field, { key: "Enter" });
    await waitFor(() => expect(router.state.location.pathname).toBe(`/episodes/${ID}`));
  });

  it("offers what this person may do, and no more", async () => {
    const { type } = await open(VIEWER);
    type("new dataset");
    expect(options().filter((text) => text.endsWith("Action"))).toEqual([]);
    type("audit log");
    expect(options()).not.toContain("Audit logSettings");
  });

  it("opens what an action is for", async () => {
    const { router, field, type } = await open(["see", "curate"]);
    type("new dataset");
    expect(active(field)).toBe("New datasetAction");
    fireEvent.keyDown(field, { key: "Enter" });
    await waitFor(() => expect(router.state.location.pathname + router.state.location.search).toBe("/datasets?new=1"));
    expect(within(await screen.findByRole("dialog", { name: "New dataset" })).getByLabelText("Name")).toBeTruthy();
  });

  it("stays shut in the cockpit, where keys move a robot", async () => {
    const { router } = renderApp("/teleop/r1", answers());
    await waitFor(() => expect(router.state.location.pathname).toBe("/teleop/r1"));
    await screen.findByRole("navigation", { name: "Main" });
    fireEvent.keyDown(window, { key: "k", ctrlKey: true });
    expect(screen.queryByRole("combobox", { name: /^Page, robot/ })).toBeNull();
    expect(screen.queryByRole("button", { name: "Go to or do" })).toBeNull();
  });
});
