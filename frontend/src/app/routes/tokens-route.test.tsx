import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";

const soon = (ms: number) => new Date(Date.now() + ms).toISOString();
const DAY_MS = 86_400_000;
const TOKEN = {
  id: "t1",
  name: "night job",
  prefix: "sop_abc123",
  scopes: ["episodes:read"],
  created_at: soon(-DAY_MS),
  expires_at: soon(3 * DAY_MS),
  revoked_at: null,
  last_used_at: soon(-125_000),
  last_used_ip: "10.0.0.7",
};
const SCOPES = [
  { name: "episodes:read", about: "Find episodes." },
  { name: "admin", about: "Everything else." },
];
const tokens = (...results: readonly object[]): Answer => [200, { results, scopes: SCOPES, max_valid_s: 90 * 86_400 }];
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": [200, { user: { username: "mara", is_staff: false } }],
  "GET /api/v1/tokens": tokens(TOKEN, { ...TOKEN, id: "t2", name: "old one", expires_at: soon(-1000), last_used_at: null, last_used_ip: null }),
  ...change,
});

describe("API tokens", () => {
  it("shows what works apart from what ended", async () => {
    const { router } = renderApp("/settings/tokens", answers());
    const live = within(await screen.findByRole("table", { name: "Tokens that work" }));
    expect(router.state.location.pathname).toBe("/settings/tokens");
    for (const text of ["night job", "sop_abc123…", "episodes:read", /^2\smin ago/, /^in\s[23]\sd$/]) {
      expect(live.getByText(text)).toBeTruthy();
    }
    const ended = within(screen.getByRole("table", { name: "Tokens that no longer work" }));
    expect(ended.getByText("old one")).toBeTruthy();
    expect(ended.getByText(/^expired/)).toBeTruthy();
    expect(ended.queryByRole("button")).toBeNull();
  });

  it("makes one and shows its secret once", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    Object.defineProperty(navigator, "clipboard", { value: { writeText }, configurable: true });
    const secret = "sop_the-secret";
    const app = renderApp(
      "/settings/tokens",
      answers({ "GET /api/v1/tokens": tokens(), "POST /api/v1/tokens": [201, { ...TOKEN, name: "mine", secret }] }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "New token" }));
    const make = screen.getByRole<HTMLButtonElement>("button", { name: "Make the token" });
    fireEvent.change(screen.getByRole("textbox", { name: "Name" }), { target: { value: " mine " } });
    expect(make.disabled).toBe(true);
    fireEvent.click(screen.getByRole("checkbox", { name: /^episodes:read/ }));
    expect(screen.queryByRole("option", { name: /365/ })).toBeNull();
    fireEvent.click(make);
    expect(await screen.findByText(secret)).toBeTruthy();
    const sent = app.requests.find((request) => request.key === "POST /api/v1/tokens")?.body;
    expect(sent).toEqual({ name: "mine", scopes: ["episodes:read"], valid_s: 30 * 86_400 });
    fireEvent.click(screen.getByRole("button", { name: /^Copy: / }));
    await waitFor(() => expect(writeText).toHaveBeenCalledWith(secret));
    fireEvent.click(screen.getByRole("button", { name: "I have it" }));
    await waitFor(() => expect(screen.queryByText(secret)).toBeNull());
  });

  it("says why none was made", async () => {
    const problem = { code: "invalid_request", title: "Unprocessable", detail: "You have 50 tokens.", status: 422 };
    renderApp("/settings/tokens", answers({ "POST /api/v1/tokens": [422, problem] }));
    fireEvent.click(await screen.findByRole("button", { name: "New token" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Name" }), { target: { value: "x" } });
    fireEvent.click(screen.getByRole("checkbox", { name: /^admin/ }));
    fireEvent.click(screen.getByRole("button", { name: "Make the token" }));
    expect(await screen.findByText("No token was made. You have 50 tokens.")).toBeTruthy();
  });

  it("asks before it revokes", async () => {
    const app = renderApp("/settings/tokens", answers({ "DELETE /api/v1/tokens/t1": [204, null] }));
    fireEvent.click(await screen.findByRole("button", { name: "Revoke night job" }));
    expect(app.requests.some((request) => request.key.startsWith("DELETE"))).toBe(false);
    fireEvent.click(screen.getByRole("button", { name: "Revoke the token" }));
    expect(await screen.findByText("The token “night job” no longer works.")).toBeTruthy();
  });

  it("says when they cannot be read", async () => {
    renderApp("/settings/tokens", answers({ "GET /api/v1/tokens": [404, {}] }));
    expect(await screen.findByText("The tokens could not be read")).toBeTruthy();
  });
});
