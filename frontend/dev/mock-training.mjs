/**
 * A make-believe training run for looking at /training without the server: what it measured so far, and a row every
 * few seconds. Used by mock-server.mjs alone, never shipped.
 */

const REPORT_STEPS = 100;
const REPORT_MS = 4000;
const REPORTS = 120;

/** Return what the learner reports at a step; falling losses, growing buffers, a sampler that follows its rule. */
function valuesAt(step, tasks) {
  const age = step / 5000;
  const wave = (period) => Math.sin((step / period) * 6.28) * 0.5 + Math.sin(step / 37) * 0.5;
  const values = {
    loss: 0.09 + 0.11 * Math.exp(-2 * age) + 0.004 * wave(700),
    gradient_norm: 0.7 + 0.5 * Math.exp(-3 * age) + 0.06 * wave(900),
    steps_per_s: 5.8 + 0.3 * wave(1300),
    data_wait: 0.02 + 0.01 * Math.abs(wave(500)),
    "data/samples_per_insert": 4 + (6 * age) / (1 + age),
  };
  tasks.forEach((task, place) => {
    const offline = 0.07 + 0.06 * Math.exp(-2 * age);
    const online = offline * (1.5 - 0.25 * place) + 0.05 * Math.exp(-age);
    const raw = 1 / (1 + Math.exp(-5 * (1.5 * online - offline)));
    const frames = 2200 * age;
    const cap = 0.5 + 0.3 * Math.min(1, frames / 1000);
    Object.assign(values, {
      [`loss/${task}/online`]: online + 0.008 * wave(400 + place),
      [`loss/${task}/offline`]: offline + 0.006 * wave(600 + place),
      [`window/${task}/online`]: online,
      [`window/${task}/offline`]: offline,
      [`share/${task}/raw`]: raw,
      [`share/${task}/cap`]: cap,
      [`share/${task}/clipped`]: Math.min(Math.max(raw, 0.2), cap),
      [`frames/${task}/online`]: frames,
      [`frames/${task}/offline`]: 1050,
    });
  });
  return values;
}

export class MockTraining {
  constructor({ run, versions, tasks }) {
    this.run = run;
    this.versions = versions;
    this.tasks = tasks;
    this.rows = Array.from({ length: REPORTS }, (_, index) => this.#row(index + 1, Date.now() - (REPORTS - index) * REPORT_MS));
  }

  #row(index, at_ms) {
    return { step: index * REPORT_STEPS, at_ms, values: valuesAt(index * REPORT_STEPS, this.tasks) };
  }

  /** Return a new row when one is due, else null. */
  tick() {
    const last = this.rows.at(-1);
    if (Date.now() - last.at_ms < REPORT_MS) return null;
    this.rows.push(this.#row(this.rows.length + 1, Date.now()));
    return { type: "run_rows", server_ms: Date.now(), run_id: this.run.run_id, after_step: last.step, rows: this.rows.slice(-1) };
  }

  /** What a console gets at once when it begins to watch. */
  watched() {
    return { type: "run_rows", server_ms: Date.now(), run_id: this.run.run_id, after_step: this.rows.at(-1).step, rows: [] };
  }

  /** The answer to a GET below /api/v1/training-runs, null for what is not there. */
  answer(path, query) {
    if (path === "") return { next: null, previous: null, results: [this.#summary()] };
    const [id, ...rest] = path.slice(1).split("/");
    if (id !== this.run.run_id) return null;
    switch (rest.join("/")) {
      case "":
        return { ...this.#summary(), ...this.#detail() };
      case "versions":
        return { versions: this.versions.map((version, index) => ({ ...version, step: index * 600 })) };
      case "metrics/names":
        return { names: Object.keys(this.rows.at(-1).values).sort() };
      case "metrics":
        return this.#series(query);
      default:
        return null;
    }
  }

  #summary() {
    const newest = this.versions.at(-1);
    const parts = [0.36, 0.41, 0.48, 0.55, 0.62, 0.68, 0.74];
    return {
      id: this.run.run_id,
      name: this.run.name,
      algorithm: this.run.algorithm,
      state: this.run.state,
      step: this.rows.at(-1).step,
      target_steps: null,
      failure_code: "",
      created_at: new Date(this.rows[0].at_ms).toISOString(),
      heartbeat_at: new Date().toISOString(),
      newest_version: newest.number,
      newest_version_at: new Date(newest.published_ms).toISOString(),
      success: parts.map((rate) => ({ successes: Math.round(rate * 50), n: 50, rate, low: rate - 0.13, high: rate + 0.11 })),
      asked: "",
    };
  }

  #detail() {
    return {
      failure_message: "",
      config: { precision: "bfloat16", optim: { batch_size: 64 }, round: { steps: 300, publish_interval_s: 20 } },
      seed: 0,
      tasks: this.tasks,
      steps_per_s: this.run.steps_per_s,
      experience: { usable: 310, ingested: 304, sampled: 296, frames: 51_984, human_frames: 11_956 },
      takes_online: true,
      asked_by_name: "",
      revision: 1,
    };
  }

  #series(query) {
    const last = Number(query.get("last_s") ?? Infinity);
    const rows = this.rows.filter(({ at_ms }) => at_ms > this.rows.at(-1).at_ms - last * 1000);
    const series = query.getAll("name").map((name) => {
      const values = rows.map((row) => row.values[name] ?? null);
      return { name, mean: values, low: values, high: values };
    });
    const newest = this.rows.at(-1).step;
    return { width: 1, last_step: newest, step: rows.map(({ step }) => step), at_ms: rows.map(({ at_ms }) => at_ms), series };
  }
}
