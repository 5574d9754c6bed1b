/**
 * What can go wrong between the console and the server, as one tree.
 *
 *     RequestError            message is safe to show
 *     ├── ProblemError        the server answered with problem details: code, title, detail, status
 *     ├── UnreachableError    no answer: network down, server restarting
 *     ├── TimedOutError       no answer within the limit
 *     └── MalformedError      an answer that is not what the contract says
 */

export class RequestError extends Error {
  override name = "RequestError";
}

export interface Problem {
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly status: number;
  /** What is wrong with which value, where a form sent several; else empty. */
  readonly problems: readonly FieldProblem[];
}

export interface FieldProblem {
  readonly field: string;
  readonly detail: string;
}

export class ProblemError extends RequestError {
  override name = "ProblemError";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

/** What to say of a change that failed: that somebody was quicker (412), or the error's own words. `what`: "this rule". */
export const changeProblem = (error: Error, what: string) =>
  error instanceof ProblemError && error.problem.code === "precondition_failed"
    ? `Somebody changed ${what} meanwhile. Close, look, and change it again.`
    : error.message;

export class UnreachableError extends RequestError {
  override name = "UnreachableError";

  constructor() {
    super("The server cannot be reached.");
  }
}

export class TimedOutError extends RequestError {
  override name = "TimedOutError";

  constructor(limitMs: number) {
    super(`The server did not answer within ${Math.round(limitMs / 1000)} s.`);
  }
}

export class MalformedError extends RequestError {
  override name = "MalformedError";
}
