/** Datasets for tests as the API sends them: whole and valid, with what a test cares about put on top. */

import type { Dataset } from "@/features/datasets/api/datasets";
import type { Compared, Preview, Version, VersionDetail } from "@/features/datasets/api/versions";

export function dataset(change: Partial<Dataset> = {}): Dataset {
  return {
    id: "d1",
    name: "pushes",
    description: "Pushing a puck.",
    licence: "cc-by-4.0",
    is_archived: false,
    revision: 2,
    created_at: "2026-11-23T10:00:00Z",
    created_by_name: "ann",
    newest_version: 2,
    newest_episodes: 10,
    newest_frames: 1200,
    newest_at: "2026-11-24T10:00:00Z",
    collected: 3,
    collected_new: 3,
    ...change,
  };
}

export function version(change: Partial<Version> = {}): Version {
  return {
    id: "v2",
    number: 2,
    state: "ready",
    digest: "ab".repeat(32),
    seed: 7,
    splits: [
      { name: "train", share: 0.8, episodes: 8 },
      { name: "val", share: 0.2, episodes: 2 },
    ],
    is_stratified: false,
    notes: "first try",
    episodes: 10,
    frames: 1200,
    human_frames: 300,
    success: { successes: 7, n: 10, rate: 0.7, low: 0.397, high: 0.892 },
    size_bytes: 3_400_000,
    archived_left_out: 0,
    frozen_at: "2026-11-24T10:00:00Z",
    frozen_by_name: "ann",
    ...change,
  };
}

export function versionDetail(change: Partial<VersionDetail> = {}): VersionDetail {
  return {
    ...version(),
    query: { filter: { task: ["box-close"] } },
    notes_revision: 1,
    card: "- Version 2, frozen 2026-11-24 10:00 UTC by ann",
    statistics: {
      recorded_from: "2026-11-20T10:00:00Z",
      recorded_until: "2026-11-23T10:00:00Z",
      episodes_with_takeover: 4,
      tasks: [{ name: "box-close", number: null, episodes: 10, frames: 1200, successes: 7 }],
      outcomes: [],
      robots: [{ name: "arm-1", number: null, episodes: 10, frames: 1200, successes: 7 }],
      policy_versions: [{ name: "demo", number: 12, episodes: 10, frames: 1200, successes: 7 }],
      operators: [],
      steps_read: { episodes: 10, unreadable: 0 },
      features: [
        { name: "action", axes: ["x", "y"], episodes: 10, frames: 1200, min: [-1, -1], max: [1, 1], mean: [0.01, 0.2], std: [0.5, 0.4] },
      ],
    },
    ...change,
  };
}

export function preview(change: Partial<Preview> = {}): Preview {
  return {
    episodes: 3,
    frames: 90,
    human_frames: 9,
    successes: 2,
    terminated: 3,
    size_bytes: 3000,
    archived_left_out: 0,
    fingerprint: "f".repeat(32),
    splits: [{ name: "train", episodes: 3 }],
    tasks: [{ name: "box-close", episodes: 3 }],
    ...change,
  };
}

export function compared(change: Partial<Compared> = {}): Compared {
  const none = { count: 0, episodes: [] };
  return { added: none, removed: none, relabelled: none, moved: none, ...change };
}
