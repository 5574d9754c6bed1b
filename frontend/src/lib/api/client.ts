/**
 * The one way to the REST API: JSON in and out, CSRF, a time limit, typed errors.
 *
 * Called by the `api` module of each feature, never by components. Retrying is left to react-query, which knows
 * whether anyone still waits.
 */

import { type Decoder, list, number, record, text } from "@/lib/api/decode";
import { type FieldProblem, MalformedError, type Problem, ProblemError, TimedOutError, UnreachableError } from "@/lib/api/errors";

const DEFAULT_LIMIT_MS = 10_000;

export interface RequestOptions {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  readonly limitMs?: number;
  /** ETag of what the request may change, quotes included. */
  readonly ifMatch?: string;
}

const fieldProblem = record<FieldProblem>({ field: text, detail: text });
/** Other refusals have `problems` of other shapes, which no form reads. */
const problems: Decoder<readonly FieldProblem[]> = (value, path) => {
  const isOurs = Array.isArray(value) && value.every((each: unknown) => typeof each === "object" && each !== null && "field" in each);
  return isOurs ? list(fieldProblem)(value, path) : [];
};
const problem = record<Problem>({ code: text, title: text, detail: text, status: number, problems });

/** Django's token, set by GET /api/v1/session; empty before. */
export function csrfToken(cookies: string = document.cookie): string {
  const match = /(?:^|;\s*)csrftoken=([^;]*)/.exec(cookies);
  return match?.[1] ? decodeURIComponent(match[1]) : "";
}

/**
 * Send a request and return the decoded answer.
 *
 * Throws ProblemError, UnreachableError, TimedOutError or MalformedError; an abort by `signal` passes through as is.
 */
export async function request<T>(path: string, decoder: Decoder<T>, options: RequestOptions = {}): Promise<T> {
  const response = await send(path, options);
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return decoder(null, "");
  return decoder(await json(response), "");
}

/** The raw answer, errors included only as exceptions of the transport: for pictures and downloads. */
export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
  const { method = "GET", body, signal, limitMs = DEFAULT_LIMIT_MS, ifMatch } = options;
  const limit = AbortSignal.timeout(limitMs);
  const headers = new Headers({ Accept: "application/json" });
  if (body !== undefined) headers.set("Content-Type", "application/json");
  if (method !== "GET") headers.set("X-CSRFToken", csrfToken());
  if (ifMatch !== undefined) headers.set("If-Match", ifMatch);
  try {
    return await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw limit.aborted ? new TimedOutError(limitMs) : new UnreachableError();
  }
}

async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    throw new MalformedError("The server's answer is not JSON.");
  }
}

async function problemOf(response: Response): Promise<ProblemError> {
  const fallback: Problem = {
    code: `http_${response.status}`,
    title: `The server answered ${response.status}.`,
    detail: "",
    status: response.status,
    problems: [],
  };
  try {
    return new ProblemError(problem(await response.json(), ""));
  } catch {
    return new ProblemError(fallback);
  }
}
