import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { type Answer, renderApp } from "@/testing/render-app";
import { signedIn } from "@/testing/session-fixtures";

const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const CHAT = {
  id: "w1",
  name: "lab chat",
  url: "https://chat.example/hook",
  events: ["help.requested"],
  is_active: true,
  disabled_reason: "",
  failing_since: null,
  dropped: 0,
  revision: 4,
};
const PAGER = { ...CHAT, id: "w2", name: "pager", is_active: false, disabled_reason: "the receiver answered 410 Gone", dropped: 3 };
const SENT = {
  id: 7,
  event_id: "e7",
  event: "help.requested",
  state: "dead",
  attempts: 9,
  next_try_at: null,
  last_status: 500,
  last_ms: 12,
  last_error: "not accepted",
  created_at: ago(120_000),
};
const answers = (change: Record<string, Answer> = {}): Record<string, Answer> => ({
  "GET /api/v1/session": signedIn(),
  "GET /api/v1/webhooks": [200, { results: [CHAT, PAGER] }],
  "GET /api/v1/webhooks/w1/deliveries": [200, { results: [SENT] }],
  "GET /api/v1/webhooks/w2/deliveries": [200, { results: [] }],
  ...change,
});

describe("webhooks", () => {
  it("shows who is told, and what came of the messages to the chosen one", async () => {
    const { router } = renderApp("/settings/webhooks", answers());
    const table = within(await screen.findByRole("table", { name: "Webhooks" }));
    for (const text of ["https://chat.example/hook", "on", "off", "the receiver answered 410 Gone"]) {
      expect(table.getAllByText(text)[0]).toBeTruthy();
    }
    const log = within(await screen.findByRole("table", { name: "Messages to lab chat, the newest first" }));
    for (const text of ["A robot asks for help", "dead", /^answered 500 in 12\sms$/]) expect(log.getByText(text)).toBeTruthy();
    fireEvent.click(table.getByRole("button", { name: "pager" }));
    expect(await screen.findByText("Nothing was sent yet")).toBeTruthy();
    expect(router.state.location.search).toBe("?webhook=w2");
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Send test" }).disabled).toBe(true);
  });

  it("makes one and shows its secret once", async () => {
    const app = renderApp(
      "/settings/webhooks",
      answers({ "GET /api/v1/webhooks": [200, { results: [] }], "POST /api/v1/webhooks": [201, { webhook: CHAT, secret: "whsec_abc" }] }),
    );
    fireEvent.click(await screen.findByRole("button", { name: "New webhook" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Name" }), { target: { value: " lab chat " } });
    fireEvent.change(screen.getByRole("textbox", { name: "URL" }), { target: { value: CHAT.url } });
    fireEvent.click(screen.getByRole("checkbox", { name: /^A robot asks for help/ }));
    fireEvent.click(screen.getByRole("button", { name: "Make the webhook" }));
    expect(await screen.findByText("whsec_abc")).toBeTruthy();
    const sent = app.requests.find((request) => request.key === "POST /api/v1/webhooks")?.body;
    expect(sent).toEqual({ name: "lab chat", url: CHAT.url, events: ["help.requested"] });
    fireEvent.click(screen.getByRole("button", { name: "I have it" }));
    await waitFor(() => expect(screen.queryByText("whsec_abc")).toBeNull());
  });

  it("says why none was made", async () => {
    const problem = { code: "address_forbidden", title: "Unprocessable", detail: "'10.0.0.1' is not a public address.", status: 422 };
    renderApp("/settings/webhooks", answers({ "POST /api/v1/webhooks": [422, problem] }));
    fireEvent.click(await screen.findByRole("button", { name: "New webhook" }));
    fireEvent.change(screen.getByRole("textbox", { name: "Name" }), { target: { value: "x" } });
    fireEvent.change(screen.getByRole("textbox", { name: "URL" }), { target: { value: "http://10.0.0.1/" } });
    fireEvent.click(screen.getByRole("checkbox", { name: /^A robot asks for help/ }));
    fireEvent.click(screen.getByRole("button", { name: "Make the webhook" }));
    expect(await screen.findByText("No webhook was made. '10.0.0.1' is not a public address.")).toBeTruthy();
  });

  it("sends a message again and asks before it removes", async () => {
    const app = renderApp(
      "/settings/webhooks",
      answers({
        "POST /api/v1/webhooks/w1/deliveries/e7/redeliver": [202, { ...SENT, state: "pending" }],
        "DELETE /api/v1/webhooks/w1": [204, null],
      }),
    );
    const again = await screen.findByRole("button", { name: "Send A robot asks for help again" });
    fireEvent.click(again);
    await waitFor(() => expect(app.requests.some((each) => each.key.endsWith("/e7/redeliver"))).toBe(true));
    fireEvent.click(screen.getByRole("button", { name: "Remove lab chat" }));
    expect(app.requests.some((each) => each.key.startsWith("DELETE"))).toBe(false);
    fireEvent.click(screen.getByRole("button", { name: "Remove the webhook" }));
    await waitFor(() => expect(app.requests.find((each) => each.key === "DELETE /api/v1/webhooks/w1")?.ifMatch).toBe('"4"'));
  });
});
