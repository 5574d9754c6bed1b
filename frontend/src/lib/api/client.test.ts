import { describe, expect, it, vi } from "vitest";

import { csrfToken, request } from "@/lib/api/client";
import { list, nullable, number, record, text } from "@/lib/api/decode";
import { MalformedError, ProblemError, TimedOutError, UnreachableError } from "@/lib/api/errors";

const answer = (status: number, body: string) => vi.stubGlobal("fetch", vi.fn(() => Promise.resolve(new Response(body, { status }))));
const point = record({ at: number, name: nullable(text), tags: list(text) });

describe("request", () => {
  it("decodes the answer and drops fields it does not know", async () => {
    answer(200, '{"at": 3, "name": null, "tags": ["a"], "new": 1}');
    expect(await request("/x", point)).toEqual({ at: 3, name: null, tags: ["a"] });
  });

  it("names the place of what it does not understand", async () => {
    answer(200, '{"at": 3, "name": null, "tags": ["a", 4]}');
    await expect(request("/x", point)).rejects.toThrow("tags[1] should be text");
    await expect(request("/x", point)).rejects.toBeInstanceOf(MalformedError);
  });

  it("turns problem details into an error with their code", async () => {
    answer(409, '{"code": "lease_fenced", "title": "Fenced", "detail": "A newer lease was seen.", "status": 409}');
    const error: unknown = await request("/x", point).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ProblemError);
    expect(error).toMatchObject({ message: "A newer lease was seen.", problem: { code: "lease_fenced", status: 409 } });
  });

  it("copes with an error that is no problem document", async () => {
    answer(502, "<html>Bad gateway</html>");
    await expect(request("/x", point)).rejects.toMatchObject({ problem: { code: "http_502", status: 502 } });
  });

  it("sends the CSRF token with writes only", async () => {
    document.cookie = "csrftoken=abc";
    const fetch = vi.fn<typeof globalThis.fetch>(() => Promise.resolve(new Response("{}", { status: 200 })));
    vi.stubGlobal("fetch", fetch);
    await request("/x", (value) => value);
    await request("/x", (value) => value, { method: "POST", body: { a: 1 } });
    const tokens = fetch.mock.calls.map(([, init]) => new Headers(init?.headers).get("X-CSRFToken"));
    expect(tokens).toEqual([null, "abc"]);
  });

  it("tells a dead server from a slow one", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed")));
    await expect(request("/x", point)).rejects.toBeInstanceOf(UnreachableError);
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
      return new Promise((_resolve, reject) => {
        init.signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    });
    await expect(request("/x", point, { limitMs: 5 })).rejects.toBeInstanceOf(TimedOutError);
  });
});

describe("csrfToken", () => {
  it("finds the cookie among others", () => {
    expect(csrfToken("sessionid=1; csrftoken=a%2Fb; theme=dark")).toBe("a/b");
    expect(csrfToken("xcsrftoken=1")).toBe("");
  });
});
