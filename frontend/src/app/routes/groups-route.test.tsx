import { fireEvent, screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";

const AT = "2026-11-26T12:00:00Z";
const GROUP = {
  id: "g1",
  name: "Site A",
  members: [{ id: "7", name: "ann" }],
  robot_tags: ["a"],
  robots: [],
  covered: ["a-arm"],
  covers_all_tasks: true,
  tasks: [],
  created_at: AT,
  revision: 4,
};
const ANN = {
  id: 7,
  username: "ann",
  name: "",
  email: "",
  roles: ["operator"],
  is_active: true,
  has_totp: false,
  needs_totp: false,
  sessions: 0,
  joined_at: AT,
  last_login_at: null,
  version: "p1",
  is_limited: true,
  groups: ["Site A"],
};
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "root", permissions: ["see", "manage_people"] } }],
  "GET /api/v1/people-groups": [200, { results: [GROUP] }],
  "GET /api/v1/people": [200, { results: [ANN], roles: [{ name: "operator", permissions: ["see"] }] }],
  "GET /api/v1/invitations": [200, { results: [] }],
  "GET /api/v1/robots": [200, { results: [{ id: "r1", name: "a-arm", tags: ["a"], retired_at: null }] }],
  "GET /api/v1/tasks": [200, { results: [{ id: "t1", slug: "box-close" }] }],
  ...change,
});
const bodyOf = (app: ReturnType<typeof renderApp>, key: string) => app.requests.filter((each) => each.key === key).map((each) => each.body);

describe("groups of people", () => {
  it("shows who sees what", async () => {
    renderApp("/settings/groups", answers());
    const table = within(await screen.findByRole("table", { name: "Groups of people" }));
    expect(table.getByText("ann")).toBeTruthy();
    expect(table.getByText("a-arm")).toBeTruthy();
    expect(table.getByText("all")).toBeTruthy();
  });

  it("says that nobody is limited while there is none", async () => {
    renderApp("/settings/groups", answers({ "GET /api/v1/people-groups": [200, { results: [] }] }));
    expect(await screen.findByText("Everybody sees the whole fleet")).toBeTruthy();
    expect(screen.getByRole("button", { name: "New group" })).toBeTruthy();
  });

  it("makes one with what was chosen", async () => {
    const app = renderApp("/settings/groups", answers({ "POST /api/v1/people-groups": [201, GROUP] }));
    fireEvent.click(await screen.findByRole("button", { name: "New group" }));
    const dialog = within(screen.getByRole("dialog"));
    fireEvent.change(dialog.getByLabelText("Name"), { target: { value: "Site B" } });
    fireEvent.click(await dialog.findByRole("checkbox", { name: "ann" }));
    fireEvent.click(await dialog.findByRole("checkbox", { name: "a" }));
    fireEvent.click(await dialog.findByRole("checkbox", { name: "box-close" }));
    fireEvent.click(dialog.getByRole("button", { name: "Make the group" }));
    await screen.findByRole("table", { name: "Groups of people" });
    expect(bodyOf(app, "POST /api/v1/people-groups")).toEqual([
      { name: "Site B", members: [7], robot_tags: ["a"], robots: [], covers_all_tasks: false, tasks: ["t1"] },
    ]);
  });

  it("says why nothing was removed", async () => {
    const stale = { code: "precondition_failed", title: "Precondition Failed", detail: "it has revision 5 by now, not 4: read it again", status: 412 };
    renderApp("/settings/groups", answers({ "DELETE /api/v1/people-groups/g1": [412, stale] }));
    fireEvent.click(await screen.findByRole("button", { name: "Remove Site A" }));
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Remove" }));
    expect(await screen.findByText(/Nothing was removed/)).toBeTruthy();
  });

  it("lets a person see the whole fleet again", async () => {
    const app = renderApp("/settings/people", answers({ "PATCH /api/v1/people/7": [200, { ...ANN, is_limited: false, groups: [] }] }));
    expect(await screen.findByText("Site A")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Change ann" }));
    fireEvent.click(screen.getByRole("button", { name: "Show the whole fleet" }));
    expect(await screen.findByText("ann sees the whole fleet now.")).toBeTruthy();
    expect(bodyOf(app, "PATCH /api/v1/people/7")).toEqual([{ is_limited: false }]);
    expect(app.requests.find(({ key }) => key === "PATCH /api/v1/people/7")?.ifMatch).toBe('"p1"');
  });

  it("tells whom groups limit what they see", async () => {
    const user = { username: "ann", permissions: ["see"], is_limited: true, groups: ["Site A"] };
    renderApp("/settings/profile", { "GET /api/v1/session": [200, { user }] });
    expect(await screen.findByText(/You see what your groups cover: Site A\./)).toBeTruthy();
  });
});
