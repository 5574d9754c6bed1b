import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { differencesOf } from "@/features/audit/differences";
import { deviceOf } from "@/features/people/person-words";
import { type Answer, renderApp } from "@/testing/render-app";

const AT = "2026-11-26T12:00:00Z";
const session = (change: object = {}): Answer => [
  200,
  { user: { username: "root", permissions: ["see", "manage_people", "see_audit"], lacks_totp: false, ...change } },
];
const ANN = {
  id: 7,
  username: "ann",
  name: "",
  email: "ann@lab.example",
  roles: ["operator"],
  is_active: true,
  has_totp: true,
  needs_totp: false,
  sessions: 2,
  joined_at: AT,
  last_login_at: null,
  version: "p1",
  is_limited: false,
  groups: [],
};
const ROLES = [
  { name: "operator", permissions: ["see", "drive"] },
  { name: "manager", permissions: ["see", "drive", "take"] },
];
const PROFILE = {
  username: "root",
  roles: ["admin"],
  has_totp: false,
  totp_needed: false,
  recovery_codes_left: 0,
  sessions: [
    { id: "a", last_seen_at: AT, address: "10.0.0.7", agent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", is_this: true },
    { id: "b", last_seen_at: AT, address: null, agent: "curl/8.1", is_this: false },
  ],
};
const ENTRY = {
  id: 3,
  at: AT,
  actor_kind: "person",
  actor_name: "root",
  action: "person.roles",
  object_kind: "person",
  object_id: "7",
  object_name: "ann",
  before: { roles: ["operator"] },
  after: { roles: ["manager"] },
  address: "10.0.0.7",
  request_id: "r",
};
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": session(),
  "GET /api/v1/people": [200, { results: [ANN], roles: ROLES }],
  "GET /api/v1/invitations": [200, { results: [] }],
  "GET /api/v1/people-groups": [200, { results: [] }],
  "GET /api/v1/profile": [200, PROFILE],
  "GET /api/v1/audit": [200, { next: null, results: [ENTRY] }],
  "GET /api/v1/audit/facets": [200, { actors: ["root"], actions: ["person.roles", "lease.take"] }],
  ...change,
});
const type = (label: string, value: string) => fireEvent.change(screen.getByLabelText(label), { target: { value } });
const bodyOf = (app: ReturnType<typeof renderApp>, key: string) => app.requests.filter((each) => each.key === key).map((each) => each.body);

describe("signing in", () => {
  it("asks for the code of the second factor after the password", async () => {
    const asked = { code: "second_factor", title: "Unauthorized", detail: "send the code of your second factor as well", status: 401 };
    const app = renderApp("/sign-in", answers({ "GET /api/v1/session": [200, { user: null }], "POST /api/v1/session": [401, asked] }));
    await screen.findByRole("button", { name: "Sign in" });
    type("User name", "ann");
    type("Password", "secret");
    fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
    await screen.findByLabelText("Code");
    expect(screen.getByRole("alert").textContent).toBe("");
    app.answers["POST /api/v1/session"] = [401, { ...asked, detail: "this code is wrong or was used already" }];
    type("Code", "123456");
    fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
    expect(await screen.findByText("This code is wrong or was used already.")).toBeTruthy();
    expect(bodyOf(app, "POST /api/v1/session").at(-1)).toEqual({ username: "ann", password: "secret", code: "123456" });
  });

  it("leads who lacks a required second factor to their account, and nowhere else", async () => {
    const profile: Answer = [200, { ...PROFILE, totp_needed: true }];
    const { router } = renderApp("/episodes", answers({ "GET /api/v1/session": session({ lacks_totp: true }), "GET /api/v1/profile": profile }));
    expect(await screen.findByText(/requires a second factor/)).toBeTruthy();
    expect(router.state.location.pathname).toBe("/settings/profile");
  });
});

describe("a one-time link", () => {
  const welcome = { is_reset: false, username: "", roles: ["operator"], invited_by: "root", expires_at: AT };

  it("lets somebody join with the secret behind the #", async () => {
    window.location.hash = "#the-secret";
    const app = renderApp(
      "/welcome",
      answers({ "POST /api/v1/welcome": [200, welcome], "PUT /api/v1/welcome": [201, { username: "ann" }], "POST /api/v1/session": [200, {}] }),
    );
    expect(await screen.findByText("root invites you as operator.")).toBeTruthy();
    type("User name", "ann");
    type("Password", "long enough");
    type("The same once more", "longer");
    fireEvent.click(screen.getByRole("button", { name: "Join" }));
    expect(await screen.findByText("The two passwords differ.")).toBeTruthy();
    type("The same once more", "long enough");
    fireEvent.click(screen.getByRole("button", { name: "Join" }));
    await waitFor(() => expect(app.router.state.location.pathname).toBe("/"));
    expect(bodyOf(app, "PUT /api/v1/welcome")).toEqual([{ secret: "the-secret", username: "ann", password: "long enough" }]);
    window.location.hash = "";
  });

  it("says when it is over", async () => {
    window.location.hash = "#old";
    const over = { code: "link_invalid", title: "Forbidden", detail: "x", status: 403 };
    renderApp("/welcome", answers({ "POST /api/v1/welcome": [403, over] }));
    expect(await screen.findByText("This link does not work")).toBeTruthy();
    window.location.hash = "";
  });
});

describe("people", () => {
  it("invites by a link that is shown once", async () => {
    const link = { url: "http://console/welcome#s3cret", expires_at: AT, is_mailed: false };
    const app = renderApp("/settings/people", answers({ "POST /api/v1/invitations": [201, link] }));
    fireEvent.click(await screen.findByRole("button", { name: "Invite" }));
    fireEvent.click(screen.getByRole("checkbox", { name: /^manager/ }));
    fireEvent.click(screen.getByRole("button", { name: "Make the link" }));
    expect(await screen.findByText(link.url)).toBeTruthy();
    expect(bodyOf(app, "POST /api/v1/invitations")).toEqual([{ roles: ["operator", "manager"], email: "", groups: [] }]);
  });

  it("changes roles and says what they allow", async () => {
    const app = renderApp("/settings/people", answers({ "PATCH /api/v1/people/7": [200, { ...ANN, roles: ["manager"] }] }));
    fireEvent.click(await screen.findByRole("button", { name: "Change ann" }));
    const dialog = within(screen.getByRole("dialog"));
    expect(dialog.getByText("May: drive, see.")).toBeTruthy();
    fireEvent.click(dialog.getByRole("checkbox", { name: /^operator/ }));
    fireEvent.click(dialog.getByRole("checkbox", { name: /^manager/ }));
    expect(dialog.getByText("May: drive, see, take.")).toBeTruthy();
    fireEvent.click(dialog.getByRole("button", { name: "Save the roles" }));
    expect(await screen.findByText("ann is manager now.")).toBeTruthy();
    expect(bodyOf(app, "PATCH /api/v1/people/7")).toEqual([{ roles: ["manager"] }]);
    expect(app.requests.find((each) => each.key === "PATCH /api/v1/people/7")?.ifMatch).toBe('"p1"');
  });

  it("says why nothing was changed", async () => {
    const last = { code: "last_admin", title: "Conflict", detail: "this is the last admin: make another one first", status: 409 };
    renderApp("/settings/people", answers({ "PATCH /api/v1/people/7": [409, last] }));
    fireEvent.click(await screen.findByRole("button", { name: "Change ann" }));
    fireEvent.click(screen.getByRole("button", { name: "Deactivate" }));
    expect(await screen.findByText(/Nothing was changed. this is the last admin/)).toBeTruthy();
  });

  it("says that somebody changed a person meanwhile", async () => {
    const late = { code: "precondition_failed", title: "", detail: "read it again", status: 412 };
    renderApp("/settings/people", answers({ "PATCH /api/v1/people/7": [412, late] }));
    fireEvent.click(await screen.findByRole("button", { name: "Change ann" }));
    fireEvent.click(screen.getByRole("button", { name: "Deactivate" }));
    expect(await screen.findByText(/Nothing was changed. Somebody changed ann meanwhile/)).toBeTruthy();
  });

  it("stands in the settings of those alone who may", async () => {
    renderApp("/settings/profile", answers({ "GET /api/v1/session": session({ permissions: ["see"] }) }));
    const nav = within(await screen.findByRole("navigation", { name: "Settings" }));
    expect(nav.getByRole("link", { name: "Your account" })).toBeTruthy();
    expect(nav.queryByRole("link", { name: "People" })).toBeNull();
    expect(nav.queryByRole("link", { name: "Audit log" })).toBeNull();
  });
});

describe("a page that takes a right", () => {
  it("names the right and where to go, and asks the server for nothing that it would refuse", async () => {
    const app = renderApp("/settings/people", answers({ "GET /api/v1/session": session({ permissions: ["see"] }) }));
    expect(await screen.findByText("You have no right to see this")).toBeTruthy();
    expect(screen.getByText(/Your role does not let you manage people\. Admins give rights/)).toBeTruthy();
    expect(screen.getByRole("link", { name: "your account" }).getAttribute("href")).toBe("/settings/profile");
    expect(screen.queryByRole("button", { name: "Try again" })).toBeNull();
    expect(app.requests.filter(({ key }) => key.includes("people"))).toEqual([]);
  });

  it("says what the server said of a right that is missing, and offers no second try", async () => {
    const refused = { code: "permission_denied", title: "Forbidden", detail: "this needs the role manager or admin", status: 403 };
    renderApp("/settings/people", answers({ "GET /api/v1/people": [403, refused] }));
    expect(await screen.findByText(/This needs the role manager or admin\. Admins give rights/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Try again" })).toBeNull();
  });
});

describe("one's own account", () => {
  it("sets a second factor up and shows the recovery codes once", async () => {
    const setup = { secret: "BASE32", uri: "otpauth://totp/x", qr_svg: "<svg xmlns='http://www.w3.org/2000/svg'/>" };
    const app = renderApp(
      "/settings/profile",
      answers({ "POST /api/v1/profile/totp": [201, setup], "PUT /api/v1/profile/totp": [200, { recovery_codes: ["aaaa-bbbb"] }] }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "Set it up" }));
    type("Your password", "secret");
    fireEvent.click(screen.getByRole("button", { name: "Go on" }));
    expect(await screen.findByText("BASE32")).toBeTruthy();
    expect(screen.getByRole("img", { name: /QR code/ })).toBeTruthy();
    type("Code", "123456");
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Set it up" }));
    expect(await screen.findByText("aaaa-bbbb")).toBeTruthy();
    expect(bodyOf(app, "PUT /api/v1/profile/totp")).toEqual([{ code: "123456" }]);
  });

  it("lists where one is signed in and signs the others out", async () => {
    const app = renderApp("/settings/profile", answers({ "DELETE /api/v1/profile/sessions": [200, { ended: 1 }] }));
    const table = within(await screen.findByRole("table", { name: "Browsers that are signed in" }));
    expect(table.getByText("Firefox on Linux")).toBeTruthy();
    expect(table.getByText("this browser")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Sign out others" }));
    expect(await screen.findByText("Every other browser is signed out.")).toBeTruthy();
    expect(app.requests.some((each) => each.key === "DELETE /api/v1/profile/sessions")).toBe(true);
  });
});

describe("the audit log", () => {
  it("shows who changed what from what to what, and filters by the address", async () => {
    const app = renderApp("/settings/audit?actor=root", answers());
    const table = within(await screen.findByRole("table", { name: "Changes" }));
    expect(table.getByText("person: roles")).toBeTruthy();
    expect(table.getByText("operator").tagName).toBe("DEL");
    expect(table.getByText("manager").tagName).toBe("INS");
    fireEvent.change(screen.getByLabelText("Action"), { target: { value: "lease" } });
    await waitFor(() => expect(app.router.state.location.search).toBe("?actor=root&action=lease"));
    const asked = app.requests.filter((each) => each.key === "GET /api/v1/audit").map((each) => each.query.toString());
    expect(asked).toEqual(["actor=root", "actor=root&action=lease"]);
    expect(screen.getByRole("link", { name: "CSV" }).getAttribute("href")).toBe("/api/v1/audit/csv?actor=root&action=lease");
  });

  it("says when nothing fits", async () => {
    renderApp("/settings/audit", answers({ "GET /api/v1/audit": [200, { next: null, results: [] }] }));
    expect(await screen.findByText("Nothing was changed that fits")).toBeTruthy();
  });

  it("reads differences as people do", () => {
    expect(differencesOf({ is_paused: false }, { is_paused: true })).toEqual([{ field: "is paused", before: "no", after: "yes" }]);
    expect(differencesOf(null, { tags: [] })).toEqual([{ field: "tags", before: null, after: "none" }]);
    expect(differencesOf({ note: null }, null)).toEqual([{ field: "note", before: "nothing", after: null }]);
  });
});

describe("browsers", () => {
  it.each([
    ["Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "iPhone"],
    ["curl/8.1", "curl/8.1"],
    ["", "An unnamed program"],
  ])("calls %s by its name", (agent, name) => expect(deviceOf(agent)).toContain(name));
});
