/** A robot's word over the data channel, whole and valid, with what a test cares about put on top. */

import type { Feedback } from "@/protocol/generated";

export function feedback(change: Partial<Feedback> = {}): Feedback {
  return {
    type: "feedback",
    step_ms: 1000,
    mode: "autonomous",
    source: "policy",
    operator: "",
    epoch: 0,
    is_driver: false,
    is_armed: false,
    asked: [],
    applied: [0.1, 0, 0, 1],
    proposed: [0.2, 0, 0, 1],
    limits: [],
    speed_cap: 1,
    command_age_ms: null,
    offset_ms: 5,
    rtt_ms: 12,
    refused: {},
    last_refusal: "",
    state: [],
    episode_id: "e1",
    step: 10,
    max_steps: 250,
    steps_left: 240,
    stop: null,
    detail: "",
    ...change,
  };
}
