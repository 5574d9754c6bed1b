/** The head of a run's page: what it is, whether it is well, and its figures in words that need no training. */

import { CircleCheck, Hourglass, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";

import { Card } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Figure } from "@/components/ui/figure";
import type { RunDetail } from "@/features/training/api/runs";
import { SAMPLES_PER_INSERT } from "@/features/training/chart-specs";
import { AskedChip } from "@/features/training/components/run-acts";
import { NewestVersion } from "@/features/training/components/run-list";
import { RunStateChip } from "@/features/training/components/run-state-chip";
import { latest, type RunFrames } from "@/features/training/run-frames";
import { algorithmName, failureAdvice, waitVerdict } from "@/features/training/run-words";
import { useServerNow } from "@/hooks/use-now";
import { formatAge, formatCount, formatDay, formatNumber, formatPercent, formatRate } from "@/lib/units/format";
import { elapsed, fraction, unixMilliseconds } from "@/lib/units/quantity";

/** The learner's holder beats every five seconds; the server gives its round to another after half a minute. */
const SILENT_MS = 30_000;

export function RunHead({ run, actions }: { readonly run: RunDetail; readonly actions: ReactNode }) {
  const tasks = run.tasks.length === 0 ? "all tasks" : run.tasks.join(", ");
  return (
    <div className="mb-3 flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
      <div className="min-w-0">
        <div className="flex min-h-8 flex-wrap items-center gap-x-3 gap-y-1">
          <h1 className="text-xl font-semibold">{run.name}</h1>
          <RunStateChip state={run.state} />
          <AskedChip run={run} />
          <SignOfLife run={run} />
        </div>
        <p className="numeric text-sm text-ink-muted">
          {algorithmName(run.algorithm)} on {tasks}; created {formatDay(Date.parse(run.created_at))}
          <Origin run={run} />
        </p>
      </div>
      {actions}
    </div>
  );
}

/** The version of another run that it began from, and the run that it was copied from. */
function Origin({ run: { id, began_from: base, copied_from: original } }: { readonly run: RunDetail }) {
  const link = "text-link underline underline-offset-2";
  return (
    <>
      {base === null ? null : (
        <>
          ; began from{" "}
          <Link to={`/versions/${base.id}`} className={link}>
            {`v${base.number} of ${base.run_name}`}
          </Link>
        </>
      )}
      {original === null ? null : (
        <>
          ;{" "}
          <Link to={`/training/compare?run=${original.id}&run=${id}`} className={link}>
            {`copied from ${original.name}`}
          </Link>
        </>
      )}
    </>
  );
}

function SignOfLife({ run }: { readonly run: RunDetail }) {
  const now = useServerNow();
  if (run.state !== "running") return null;
  if (run.heartbeat_at === null) return <Chip icon={Hourglass} tone="caution">No learner has taken it up</Chip>;
  const age = elapsed(unixMilliseconds(Date.parse(run.heartbeat_at)), now);
  return age < SILENT_MS ? null : <Chip icon={Hourglass} tone="caution">{`Learner last heard ${formatAge(age)}`}</Chip>;
}

/** A failed run says why and what to do; the robots keep the last good version. */
export function RunFailure({ run }: { readonly run: RunDetail }) {
  if (run.state !== "failed") return null;
  const version = run.newest_version === null ? "" : ` Robots go on with v${run.newest_version}.`;
  return (
    <section aria-label="Why the run failed" className="mb-4 flex gap-3 rounded-lg border border-fault bg-fault-tint px-4 py-3 text-sm">
      <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-fault" />
      <div className="min-w-0">
        <p className="font-medium text-fault">
          The run failed: <code>{run.failure_code}</code>
        </p>
        <p className="break-words">{run.failure_message}</p>
        <p className="mt-1">
          {failureAdvice(run.failure_code)}
          {version}
        </p>
      </div>
    </section>
  );
}

export function RunFigures({ run, frames }: { readonly run: RunDetail; readonly frames: RunFrames | null }) {
  const { experience } = run;
  const pace = run.state === "running" ? (latest(frames, "steps_per_s") ?? run.steps_per_s) : null;
  const perInsert = latest(frames, SAMPLES_PER_INSERT);
  const target = run.target_steps === null ? "" : `of ${formatCount(run.target_steps)}`;
  const human = experience.frames > 0 ? formatPercent(fraction(experience.human_frames / experience.frames)) : "–";
  return (
    <Card className="mb-4 px-4 py-3">
      <dl className="grid grid-cols-2 gap-x-6 gap-y-2.5 sm:grid-cols-4 xl:grid-cols-8">
        <Figure label="Gradient step" note={target}>
          {formatCount(run.step)}
        </Figure>
        <Figure label="Pace">{pace === null ? "–" : formatRate(pace, "steps/s")}</Figure>
        <WaitFigure wait={latest(frames, "data_wait")} isRunning={run.state === "running"} />
        <Figure label="Newest version">
          <NewestVersion run={run} />
        </Figure>
        <Figure label="Episodes taken in" note={`of ${formatCount(experience.usable)}`}>
          {formatCount(experience.ingested)}
        </Figure>
        <Figure label="Of these drawn" note="at least once">
          {formatCount(experience.sampled)}
        </Figure>
        <Figure label="Samples per insert">{perInsert === null ? "–" : formatNumber(perInsert)}</Figure>
        <Figure label="Human frames" note={`of ${formatCount(experience.frames)}`}>
          {human}
        </Figure>
      </dl>
    </Card>
  );
}

/** "2 %, kept busy": with an icon, and in colour only when something should be done. An ended run waits for nothing. */
function WaitFigure({ wait, isRunning }: { readonly wait: number | null; readonly isRunning: boolean }) {
  const label = isRunning ? "Waits for data" : "Waited for data";
  if (wait === null) return <Figure label={label}>–</Figure>;
  if (!isRunning) return <Figure label={label}>{formatPercent(fraction(wait))}</Figure>;
  const { text, isFine } = waitVerdict(wait);
  const Icon = isFine ? CircleCheck : TriangleAlert;
  return (
    <Figure label={label}>
      {formatPercent(fraction(wait))}{" "}
      <span className={isFine ? "text-ink-muted" : "text-caution"}>
        <Icon aria-hidden className="mb-0.5 inline size-3.5" /> {text}
      </span>
    </Figure>
  );
}
