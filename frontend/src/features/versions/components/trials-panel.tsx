/** Candidates that were decided: how it ended, by whom, why, and what the trial cost in time and episodes. */

import { CircleCheck, Undo2 } from "lucide-react";
import { Link } from "react-router";

import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import type { Rollout } from "@/features/versions/api/versions";
import { formatDay, formatDuration, formatNoun } from "@/lib/units/format";
import { seconds } from "@/lib/units/quantity";

export function TrialsPanel({ trials }: { readonly trials: readonly Rollout[] }) {
  if (trials.length === 0) return null;
  return (
    <Panel title="Versions that were tried" className="mb-4">
      <ul className="grid gap-3">
        {trials.map((trial) => (
          <Trial key={trial.id} trial={trial} />
        ))}
      </ul>
    </Panel>
  );
}

function Trial({ trial }: { readonly trial: Rollout }) {
  const isPromoted = trial.state === "promoted";
  const decided = Date.parse(trial.decided_at ?? trial.began_at);
  const took = formatDuration(seconds((decided - Date.parse(trial.began_at)) / 1000));
  return (
    <li className="text-sm">
      <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
        <Chip icon={isPromoted ? CircleCheck : Undo2} tone={isPromoted ? "neutral" : "caution"}>
          {isPromoted ? "Promoted" : "Rolled back"}
        </Chip>
        <span>
          <Link to={`/versions/${trial.candidate}`} className="text-link underline underline-offset-2">
            v{trial.candidate_number}
          </Link>
          {` against v${trial.baseline_number}, ${trial.is_automatic ? "by itself" : "by hand"} after ${took} and `}
          <Link
            to={`/episodes?policy_version=${trial.candidate}&archived=any`}
            className="text-link underline underline-offset-2"
          >
            {formatNoun(trial.episodes, "episode")}
          </Link>
          {` on ${formatNoun(trial.robots.length, "robot")}`}
        </span>
        <span className="numeric text-ink-muted">{formatDay(decided)}</span>
      </p>
      <p className="mt-0.5 text-ink-muted">{trial.reason}</p>
    </li>
  );
}
