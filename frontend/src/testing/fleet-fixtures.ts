/** Robots, runs and frames for tests: whole and valid, with what a test cares about put on top. */

import { type ConsoleSnapshot, PROTOCOL_VERSION, type RobotCard, type RunCard } from "@/protocol/generated";

export function robot(change: Partial<RobotCard> = {}): RobotCard {
  return {
    robot_id: "r1",
    name: "arm-1",
    is_online: true,
    is_paused: false,
    mode: "autonomous",
    activity: "running",
    detail: "",
    source: "policy",
    operator: "",
    task: "shelf-place",
    instruction: "Place the puck on the shelf.",
    episode_id: "e1",
    step: 120,
    max_steps: 250,
    policy_number: 12,
    versions_behind: 2,
    seconds_behind: 31,
    last_seen_ms: 1_000_000,
    thumbnail_ms: null,
    pending_episodes: 0,
    episodes_closed: 40,
    control_rate_hz: 10,
    overruns: 0,
    ...change,
  };
}

export function run(change: Partial<RunCard> = {}): RunCard {
  return {
    run_id: "run1",
    name: "demo",
    algorithm: "hg_dagger",
    state: "running",
    step: 1250,
    steps_per_s: 6.25,
    newest_version: 14,
    online_episodes: 120,
    online_frames: 20_000,
    human_frames: 5000,
    updated_ms: 1_000_000,
    ...change,
  };
}

export function snapshot(change: Partial<ConsoleSnapshot> = {}): ConsoleSnapshot {
  return { type: "snapshot", protocol: PROTOCOL_VERSION, server_ms: 1_000_000, robots: [], run: null, ...change };
}
