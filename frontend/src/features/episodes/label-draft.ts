/** A label while it is written: only what was touched, so that somebody else's change of the rest is not undone. */

import type { EpisodeDetail } from "@/features/episodes/api/episodes";
import type { LabelChange } from "@/features/episodes/api/labels";

export const RECORDED = "recorded";

/** `outcome`: one of the outcomes, or RECORDED. What is left out was not touched. */
export interface LabelDraft {
  readonly outcome?: string;
  readonly reason?: string;
  readonly tags?: readonly string[];
  readonly comment?: string;
}

export type LabelForm = Required<LabelDraft>;

/** What the form shows: the episode's label with the draft over it. */
export function formOf(episode: EpisodeDetail, draft: LabelDraft): LabelForm {
  const isLabelled = episode.label_revision > 0 && episode.outcome_source === "person";
  return {
    outcome: draft.outcome ?? (isLabelled ? episode.outcome : RECORDED),
    reason: draft.reason ?? (isLabelled ? episode.outcome_reason : ""),
    tags: draft.tags ?? episode.tags,
    comment: draft.comment ?? episode.comment,
  };
}

/** What is sent; null if nothing was touched. A reason goes with its outcome. */
export function changeOf(draft: LabelDraft, form: LabelForm): LabelChange | null {
  const hasOutcome = draft.outcome !== undefined || draft.reason !== undefined;
  const outcome: LabelChange = !hasOutcome
    ? {}
    : form.outcome === RECORDED
      ? { outcome: null }
      : { outcome: form.outcome, outcome_reason: form.reason };
  const change: LabelChange = {
    ...outcome,
    ...(draft.tags === undefined ? {} : { tags: draft.tags }),
    ...(draft.comment === undefined ? {} : { comment: draft.comment }),
  };
  return Object.keys(change).length === 0 ? null : change;
}
