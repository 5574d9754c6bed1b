/** Renders the real routes at an address, with the network played by the test: fetch and the websocket, nothing else. */

import { render } from "@testing-library/react";
import { createMemoryRouter, RouterProvider } from "react-router";
import { vi } from "vitest";

import { createQueryClient, Providers } from "@/app/providers";
import { routes } from "@/app/router";
import { FakeSocket } from "@/testing/fake-socket";

export type Answer = readonly [status: number, body: unknown];

/** What the frame of every page asks for. */
const everywhere: Record<string, Answer> = { "GET /api/v1/alerts/open": [200, { results: [], total: 0, unacknowledged: 0 }] };

/** `answers` by "METHOD /path" without the query; anything else is an error, so that no request goes unseen. */
export function renderApp(path: string, answers: Record<string, Answer>) {
  const sockets: FakeSocket[] = [];
  const requests: { readonly key: string; readonly query: URLSearchParams; readonly body: unknown; readonly ifMatch: string | null }[] = [];
  vi.stubGlobal(
    "WebSocket",
    vi.fn(function open() {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    }),
  );
  vi.stubGlobal("fetch", (input: string, init: RequestInit) => {
    const url = new URL(input, "http://console");
    const key = `${init.method ?? "GET"} ${url.pathname}`;
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : null;
    requests.push({ key, query: url.searchParams, body, ifMatch: new Headers(init.headers).get("If-Match") });
    const answer = answers[key] ?? everywhere[key];
    if (answer === undefined) throw new Error(`the test has no answer to ${key}`);
    return Promise.resolve(new Response(answer[0] === 204 ? null : JSON.stringify(answer[1]), { status: answer[0] }));
  });
  const router = createMemoryRouter(routes, { initialEntries: [path] });
  render(
    <Providers client={createQueryClient()}>
      <RouterProvider router={router} />
    </Providers>,
  );
  return { router, sockets, requests, answers };
}
