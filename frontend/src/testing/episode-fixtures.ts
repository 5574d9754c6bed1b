/** Episodes for tests as the API sends them: whole and valid, with what a test cares about put on top. */

import type { Counts, EpisodeDetail, EpisodeRow } from "@/features/episodes/api/episodes";

export function episode(change: Partial<EpisodeRow> = {}): EpisodeRow {
  return {
    id: "e1",
    origin: "online",
    outcome: "success",
    outcome_source: "environment",
    outcome_reason: "",
    environment_outcome: "",
    robot_name: "arm-1",
    task: "box-close",
    policy_number: 12,
    run: "run1",
    run_name: "demo",
    instruction: "Close the box.",
    steps: 100,
    human_steps: 40,
    human_share: 0.4,
    control_rate_hz: 10,
    operators: ["bea"],
    tags: ["blurred"],
    comment: "",
    is_archived: false,
    label_revision: 0,
    damage: "",
    ended_at: "2026-11-23T10:00:00Z",
    size_bytes: 1_234_567,
    ...change,
  };
}

export function episodeDetail(change: Partial<EpisodeDetail> = {}): EpisodeDetail {
  const drove = { mode: "autonomous", source: "policy", operator: "", reason: "" };
  const took = { mode: "teleop", source: "person", operator: "bea", reason: "it missed the lid" };
  return {
    ...episode(),
    segments: [
      { ...drove, start: 0, end: 30 },
      { ...took, start: 30, end: 50 },
      { ...drove, start: 50, end: 80 },
      { ...took, start: 80, end: 100 },
    ],
    recording: {
      driver: "metaworld",
      outcome: "success",
      action_names: ["x", "gripper"],
      cameras: [
        { name: "front", width: 128, height: 128, url: "/files/front.mp4" },
        { name: "wrist", width: 128, height: 128, url: "/files/wrist.mp4" },
      ],
      files: [{ name: "front.mp4", size: 1000, url: "/files/front.mp4" }],
      calibration: null,
    },
    recording_problem: null,
    has_sidecar: false,
    ...change,
  };
}

export function counts(total: number, facets: Partial<Counts["facets"]> = {}): Counts {
  const none = { task: [], robot: [], policy_version: [], outcome: [], outcome_source: [], origin: [], source: [], operator: [], tag: [] };
  return { total, facets: { ...none, ...facets } };
}
