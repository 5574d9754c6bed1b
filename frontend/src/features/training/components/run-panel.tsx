/** The training run that feeds the fleet: state, pace, newest version, what it learns from. Live. */

import { BrainCircuit } from "lucide-react";
import { Link } from "react-router";

import { Panel } from "@/components/ui/card";
import { Figure } from "@/components/ui/figure";
import { Notice } from "@/components/ui/notice";
import { Skeleton } from "@/components/ui/skeleton";
import { RunStateChip } from "@/features/training/components/run-state-chip";
import { algorithmName } from "@/features/training/run-words";
import { useServerNow } from "@/hooks/use-now";
import { useIsFleetKnown, useRun } from "@/lib/socket/fleet-store";
import { formatAge, formatCount, formatPercent, formatRate } from "@/lib/units/format";
import { elapsed, fraction, unixMilliseconds } from "@/lib/units/quantity";
import type { RunCard } from "@/protocol/generated";

export function RunPanel() {
  const run = useRun();
  const isKnown = useIsFleetKnown();
  return (
    <Panel title="Training run" actions={run === null ? null : <RunStateChip state={run.state} />}>
      {run !== null ? (
        <RunFigures run={run} />
      ) : isKnown ? (
        <Notice icon={BrainCircuit} title="No training run" className="py-3">
          Robots work and record; nothing learns from it yet.
        </Notice>
      ) : (
        <Skeleton className="h-[7.25rem]" />
      )}
    </Panel>
  );
}

function RunFigures({ run }: { readonly run: RunCard }) {
  const share = run.online_frames > 0 ? formatPercent(fraction(run.human_frames / run.online_frames)) : "–";
  return (
    <>
      <p className="numeric mb-2 truncate text-sm text-ink-muted">
        <Link to={`/training/${run.run_id}`} className="text-link underline underline-offset-2">
          {run.name}
        </Link>
        , {algorithmName(run.algorithm)}
        <Updated run={run} />
      </p>
      <dl className="grid grid-cols-3 gap-x-4 gap-y-2.5">
        <Figure label="Step">{formatCount(run.step)}</Figure>
        <Figure label="Pace">{formatRate(run.steps_per_s, "steps/s")}</Figure>
        <Figure label="Newest version">{run.newest_version === null ? "none" : `v${run.newest_version}`}</Figure>
        <Figure label="Online episodes">{formatCount(run.online_episodes)}</Figure>
        <Figure label="Online frames">{formatCount(run.online_frames)}</Figure>
        <Figure label="Human frames" note={`n = ${formatCount(run.human_frames)}`}>
          {share}
        </Figure>
      </dl>
    </>
  );
}

function Updated({ run }: { readonly run: RunCard }) {
  const now = useServerNow();
  return <>{run.updated_ms === null ? "" : `, updated ${formatAge(elapsed(unixMilliseconds(run.updated_ms), now))}`}</>;
}
