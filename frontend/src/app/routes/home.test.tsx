import { fireEvent, screen, waitFor } from "@testing-library/react";
import { beforeEach, describe, expect, it } from "vitest";

import { homeOfRoles } from "@/hooks/use-home";
import { type Answer, renderApp } from "@/testing/render-app";

const user = (username: string, ...roles: string[]): Answer => [200, { user: { username, roles, permissions: ["see", "stop"] } }];
const answers = (session: Answer): Record<string, Answer> => ({
  "GET /api/v1/session": session,
  "GET /api/v1/datasets": [200, { results: [] }],
  "GET /api/v1/profile": [
    200,
    { username: "exa", roles: ["exporter"], has_totp: false, totp_needed: false, recovery_codes_left: 0, sessions: [] },
  ],
});

describe("the start page", () => {
  beforeEach(() => localStorage.clear());

  it("is the one of the role that decides most", () => {
    expect(homeOfRoles(["operator"])).toBe("/wall");
    expect(homeOfRoles(["manager", "operator"])).toBe("/reports");
    expect(homeOfRoles(["operator", "admin"])).toBe("/");
    expect(homeOfRoles(["exporter"])).toBe("/datasets");
    expect(homeOfRoles(["viewer"])).toBe("/");
    expect(homeOfRoles([])).toBe("/");
  });

  it("follows signing in, unless somebody was on the way elsewhere", async () => {
    const { router } = renderApp("/sign-in", answers(user("exa", "exporter")));
    await waitFor(() => expect(router.state.location.pathname).toBe("/datasets"));
  });

  it("shows an operator the wall and the queue", async () => {
    const { router } = renderApp("/sign-in", answers(user("olga", "operator")));
    expect(await screen.findByRole("heading", { name: "Wall and queue" })).toBeTruthy();
    expect(screen.getByRole("complementary", { name: "Who asks for help" })).toBeTruthy();
    expect(router.state.location.pathname).toBe("/wall");
  });

  it("can be chosen, for this person alone, and given back to the role", async () => {
    renderApp("/settings/profile", answers(user("exa", "exporter")));
    const mark = () => screen.getByRole("link", { name: "SOP, to your start page" }).getAttribute("href");
    const choice = await screen.findByRole<HTMLSelectElement>("combobox", { name: "After signing in" });
    expect([choice.value, mark()]).toEqual(["", "/datasets"]);
    fireEvent.change(choice, { target: { value: "/reports" } });
    expect([choice.value, mark()]).toEqual(["/reports", "/reports"]);
    expect(localStorage.getItem("sop.home.exa")).toBe("/reports");
    expect(localStorage.getItem("sop.home.olga")).toBeNull();
    fireEvent.change(choice, { target: { value: "" } });
    expect([mark(), localStorage.getItem("sop.home.exa")]).toEqual(["/datasets", null]);
  });

  it("takes no page that is none", async () => {
    localStorage.setItem("sop.home.exa", "https://elsewhere");
    const { router } = renderApp("/sign-in", answers(user("exa", "exporter")));
    await waitFor(() => expect(router.state.location.pathname).toBe("/datasets"));
  });
});
