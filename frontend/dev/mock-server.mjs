/**
 * Serves dist/ with a make-believe fleet behind it: `npm run build && npm run mock -- --robots 40`, then :8900.
 * For design and for trying the link: `--empty` has no robots, `--signed-out` asks for a password (any user, "demo"),
 * and POST /mock/{drop,gap,refuse,accept} closes all links, skips a number, turns new links away and lets them in again.
 */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { WebSocketServer } from "ws";

import { MockFleet, picture } from "./mock-fleet.mjs";
import { MockTraining } from "./mock-training.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8900" },
    robots: { type: "string", default: "4" },
    empty: { type: "boolean", default: false },
    "signed-out": { type: "boolean", default: false },
  },
});
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
const fleet = new MockFleet({ robots: Number(options.robots), isEmpty: options.empty });
const tasks = fleet.tasks().results.map(({ slug }) => slug);
const training = fleet.run === null ? null : new MockTraining({ run: fleet.run, versions: fleet.versions, tasks });
let user = options["signed-out"] ? null : { username: "mara", is_staff: true };
let isRefusing = false;

function json(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json", "Set-Cookie": "csrftoken=mock; Path=/" });
  response.end(body === null ? "" : JSON.stringify(body));
}

const problem = (status, code, detail) => ({ status, code, title: detail, detail });

function signIn(request, response) {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    const { username, password } = JSON.parse(body);
    if (password !== "demo") return json(response, 401, problem(401, "unauthorised", "Wrong user name or password."));
    user = { username, is_staff: true };
    json(response, 200, { user });
  });
}

const RUNS = "/api/v1/training-runs";

function serveApi(request, response, url) {
  const key = `${request.method} ${url.pathname}`;
  if (key === "GET /api/v1/session") return json(response, 200, { user });
  if (key === "POST /api/v1/session") return signIn(request, response);
  if (key === "DELETE /api/v1/session") {
    user = null;
    return json(response, 204, null);
  }
  if (key === "GET /api/v1/tasks") return json(response, 200, fleet.tasks());
  if (key === "GET /api/v1/metrics/success")
    return json(response, 200, fleet.success(Number(url.searchParams.get("window_s")), url.searchParams.get("task")));
  const below = url.pathname.startsWith(RUNS) ? url.pathname.slice(RUNS.length) : null;
  if (below === "" && training === null) return json(response, 200, { next: null, previous: null, results: [] });
  const found = below === null ? null : training?.answer(below, url.searchParams);
  if (found) return json(response, 200, found);
  const robot = fleet.robots.find((each) => url.pathname === `/api/v1/robots/${each.robot_id}/thumbnail`);
  if (robot) {
    response.writeHead(200, { "Content-Type": "image/svg+xml", "Cache-Control": "no-cache" });
    return response.end(picture(robot, Date.now()));
  }
  return json(response, 404, problem(404, "not_found", "There is nothing here."));
}

function serveFile(response, pathname) {
  const wanted = join(dist, normalize(pathname));
  const file = existsSync(wanted) && statSync(wanted).isFile() ? wanted : join(dist, "index.html");
  response.writeHead(200, { "Content-Type": types[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
}

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://mock");
  if (url.pathname.startsWith("/api/")) return serveApi(request, response, url);
  if (url.pathname.startsWith("/mock/")) return control(response, url.pathname.slice("/mock/".length));
  return serveFile(response, url.pathname);
});

const sockets = new WebSocketServer({ server, path: "/ws/console" });

function send(socket, body) {
  socket.seq += 1;
  socket.send(JSON.stringify([socket.seq, body]));
}

const snapshot = () => ({ type: "snapshot", protocol: 2, server_ms: Date.now(), robots: fleet.robots.map(fleet.card), run: runCard() });
const runCard = () => (fleet.run === null ? null : { ...fleet.run, step: Math.round(fleet.run.step) });

sockets.on("connection", (socket) => {
  if (isRefusing) return socket.terminate();
  if (user === null) return socket.close(4401);
  socket.seq = 0;
  send(socket, snapshot());
  socket.on("message", (data) => {
    const [, body] = JSON.parse(String(data));
    if (body.type === "resync") send(socket, snapshot());
    if (body.type === "watch_run") socket.watched = body.run_id;
    if (body.type === "watch_run" && body.run_id === training?.run.run_id) send(socket, training.watched());
  });
});

function control(response, action) {
  if (action === "refuse") isRefusing = true;
  if (action === "accept") isRefusing = false;
  for (const socket of sockets.clients) {
    if (action === "drop" || action === "refuse") socket.close(1012);
    if (action === "gap") socket.seq += 3;
  }
  json(response, 200, { action });
}

setInterval(() => {
  const server_ms = Date.now();
  const robots = fleet.tick().map(fleet.card);
  const messages = [{ type: "robots_changed", server_ms, robots }];
  if (fleet.run) messages.push({ type: "run_changed", server_ms, run: runCard() });
  if (fleet.hasNewMetrics) messages.push({ type: "metrics_changed", server_ms });
  fleet.hasNewMetrics = false;
  const rows = training?.tick() ?? null;
  for (const socket of sockets.clients) {
    if (socket.readyState !== socket.OPEN) continue;
    for (const message of messages) send(socket, message);
    if (rows !== null && socket.watched === rows.run_id) send(socket, rows);
  }
}, 250);

server.listen(Number(options.port), "127.0.0.1", () => console.log(`mock fleet at http://127.0.0.1:${options.port}`));
