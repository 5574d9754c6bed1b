/**
 * A make-believe fleet for looking at the console without the server. Used by mock-server.mjs alone, never shipped.
 * Robots go through episodes, help, resets, uploads and outages; versions appear; success rises. Seeded: same every time.
 */

const TASKS = [
  { slug: "shelf-place", instruction: "Place the puck on the shelf." },
  { slug: "bin-picking", instruction: "Pick the block out of the red bin and drop it into the blue one." },
  { slug: "box-close", instruction: "Take the lid by its handle and close the box with it." },
];
const MAX_STEPS = 250;
const STEPS_PER_TICK = 2.5; // a tick is 250 ms at 10 Hz

function generator(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

export class MockFleet {
  constructor({ robots, isEmpty = false, historyMinutes = 14 }) {
    this.random = generator(7);
    this.startMs = Date.now() - historyMinutes * 60_000;
    this.versions = [];
    this.outcomes = []; // {at_ms, task, isSuccess}
    this.robots = isEmpty ? [] : Array.from({ length: robots }, (_, index) => this.#robot(index));
    this.run = isEmpty ? null : this.#run();
    if (!isEmpty) this.#history(historyMinutes);
    for (const robot of this.robots) robot.policy_number = this.versions.at(-1).number;
    if (robots >= 12) this.#trouble();
  }

  #robot(index) {
    const task = TASKS[index % TASKS.length];
    return {
      robot_id: `0198f2c4-7a1e-7c3b-9d5f-${String(index + 1).padStart(12, "0")}`,
      name: `arm-${index + 1}`,
      is_online: true,
      is_paused: false,
      mode: "autonomous",
      activity: "running",
      detail: "",
      source: "policy",
      operator: "",
      task: task.slug,
      instruction: task.instruction,
      episode_id: `0198f2d0-0000-7000-8000-${String(index).padStart(12, "0")}`,
      step: Math.floor(this.random() * MAX_STEPS),
      max_steps: MAX_STEPS,
      policy_number: 0,
      versions_behind: 0,
      seconds_behind: 0,
      last_seen_ms: Date.now(),
      thumbnail_ms: Date.now(),
      pending_episodes: 0,
      episodes_closed: 20 + Math.floor(this.random() * 12),
      control_rate_hz: 10,
      overruns: index % 5 === 1 ? 3 : 0,
    };
  }

  #run() {
    return {
      run_id: "0198f2c4-0000-7000-8000-000000000001",
      name: "demo",
      algorithm: "hg_dagger",
      state: "running",
      step: 0,
      steps_per_s: 6.4,
      newest_version: 0,
      online_episodes: 0,
      online_frames: 0,
      human_frames: 0,
      updated_ms: Date.now(),
    };
  }

  #history(minutes) {
    const now = Date.now();
    this.versions.push({ number: 0, published_ms: this.startMs });
    for (let at = this.startMs + 70_000; at < now - 30_000; at += 45_000 + this.random() * 20_000) this.#publish(at);
    const gap = (26_000 / Math.max(1, this.robots.length)) * 1.1;
    for (let at = this.startMs + 25_000; at < now; at += gap) this.#finish(at, (at - this.startMs) / (minutes * 60_000));
    Object.assign(this.run, { step: 5200, online_episodes: this.outcomes.length });
    this.run.online_frames = this.run.online_episodes * 171;
    this.run.human_frames = Math.round(this.run.online_frames * 0.23);
  }

  #publish(at) {
    const number = this.versions.length;
    this.versions.push({ number, published_ms: Math.round(at) });
    Object.assign(this.run, { newest_version: number, updated_ms: Math.round(at) });
  }

  #finish(at, progress) {
    const chance = 0.3 + 0.5 * Math.min(1, progress) ** 0.8;
    const task = TASKS[Math.floor(this.random() * TASKS.length)].slug;
    this.outcomes.push({ at_ms: Math.round(at), task, isSuccess: this.random() < chance });
  }

  /** One of each thing that can be wrong, so that every status is seen. */
  #trouble() {
    const set = (index, change) => Object.assign(this.robots[index], change, { isFrozen: true });
    set(2, { is_online: false, last_seen_ms: Date.now() - 94_000, pending_episodes: 2, thumbnail_ms: null, episode_id: null });
    set(5, { mode: "paused", is_paused: true, episode_id: null });
    set(7, { activity: "spool_full", episode_id: null, pending_episodes: 64, detail: "The disk spool holds 64 episodes that were not uploaded. New episodes wait." });
    set(9, { activity: "error", episode_id: null, detail: "The camera 'front' stopped delivering frames." });
    set(10, { mode: "stopped", episode_id: null, detail: "Stopped by Mara Lindqvist-Oyelaran." });
    set(11, { mode: "teleop", source: "person", operator: "Mara Lindqvist-Oyelaran" });
    set(6, { activity: "waiting_policy", episode_id: null, policy_number: null, versions_behind: null, seconds_behind: null });
    set(4, { mode: "paused", detail: "Control lapsed: the operator's commands stopped." });
    set(8, { name: "packing-line-left-arm-2-spare" });
  }

  /** Advance 250 ms; return the cards that changed. */
  tick() {
    if (this.run === null) return [];
    const now = Date.now();
    const newest = this.versions.at(-1);
    if (now - newest.published_ms > 50_000) this.#publish(now);
    this.run.step += 1.6;
    for (const robot of this.robots) this.#step(robot, now);
    return this.robots;
  }

  #step(robot, now) {
    if (!robot.is_online) return;
    robot.last_seen_ms = now;
    if (now - (robot.thumbnail_ms ?? 0) > 1000 && robot.thumbnail_ms !== null) robot.thumbnail_ms = now;
    robot.control_rate_hz = 9.9 + this.random() * 0.15;
    if (robot.isFrozen || robot.policy_number === null) return;
    const newest = this.versions.at(-1);
    robot.versions_behind = newest.number - robot.policy_number;
    robot.seconds_behind = robot.versions_behind === 0 ? 0 : (now - this.versions[robot.policy_number + 1].published_ms) / 1000;
    if (robot.activity === "resetting") {
      if (this.random() < 0.12) Object.assign(robot, { activity: "running", step: 0, policy_number: newest.number, episode_id: crypto.randomUUID() });
      return;
    }
    robot.step += STEPS_PER_TICK;
    if (robot.mode === "autonomous" && this.random() < 0.006) Object.assign(robot, { mode: "teleop", source: "scripted", operator: "" });
    else if (robot.mode === "teleop" && this.random() < 0.05) Object.assign(robot, { mode: "autonomous", source: "policy" });
    if (robot.step < MAX_STEPS && this.random() > 0.008) return;
    if (robot.mode === "autonomous") this.#finish(now, 1);
    Object.assign(robot, { activity: "resetting", mode: "autonomous", source: "policy", episode_id: null });
    robot.episodes_closed += 1;
    robot.pending_episodes = this.random() < 0.3 ? 1 : 0;
    this.run.online_episodes += 1;
    this.run.online_frames += Math.round(robot.step);
    this.run.human_frames += this.random() < 0.4 ? 60 : 0;
    this.hasNewMetrics = true;
  }

  success(windowS, task) {
    const all = this.outcomes.filter((outcome) => !task || outcome.task === task);
    const points = all.map(({ at_ms }) => {
      const inside = all.filter((outcome) => outcome.at_ms <= at_ms && outcome.at_ms > at_ms - windowS * 1000);
      const successes = inside.filter((outcome) => outcome.isSuccess).length;
      return { at_ms, successes, n: inside.length, ...wilson(successes, inside.length) };
    });
    const definition =
      "Autonomous success rate: online episodes that succeeded without any human step, divided by all online episodes " +
      "that terminated (success, failure or timeout; aborted ones do not count), by the time they ended.";
    return { definition, confidence: 0.95, window_s: windowS, points, versions: this.versions };
  }

  tasks() {
    return { next: null, previous: null, results: TASKS };
  }

  card(robot) {
    const { isFrozen, ...card } = robot;
    return { ...card, step: Math.round(card.step) };
  }
}

function wilson(successes, n) {
  const z = 1.96;
  const rate = successes / n;
  const centre = rate + (z * z) / (2 * n);
  const spread = z * Math.sqrt((rate * (1 - rate)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  return { rate, low: (centre - spread) / scale, high: (centre + spread) / scale };
}

/** An arm over a table, as SVG: the console does not care that it is no JPEG. */
export function picture(robot, now) {
  const t = now / 1500 + Number.parseInt(robot.robot_id.slice(-3), 10);
  const x = 64 + 30 * Math.sin(t);
  const y = 74 + 12 * Math.cos(t * 1.3);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128"><rect width="128" height="128" fill="#b9c2c9"/>
<path d="M0 70H128V128H0Z" fill="#8d7862"/><path d="M0 70H128V74H0Z" fill="#76634f"/>
<rect x="84" y="86" width="26" height="20" fill="#3f5f83"/><rect x="18" y="90" width="24" height="18" fill="#9c3d34"/>
<circle cx="${128 - x}" cy="104" r="5" fill="#d8b03c"/>
<path d="M64 8L${(64 + x) / 2 + 12} 40L${x} ${y}" stroke="#c9252d" stroke-width="9" stroke-linecap="round" stroke-linejoin="round" fill="none"/>
<circle cx="64" cy="8" r="9" fill="#33383d"/><circle cx="${(64 + x) / 2 + 12}" cy="40" r="6" fill="#33383d"/>
<path d="M${x - 6} ${y}v10M${x + 6} ${y}v10" stroke="#222" stroke-width="4"/></svg>`;
}
