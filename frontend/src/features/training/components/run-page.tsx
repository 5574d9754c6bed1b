/** One training run from head to configuration: is it well, does it get better, and why. */

import { ChartLine, MapPinOff, ServerOff } from "lucide-react";
import { useId, useMemo, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { Skeleton } from "@/components/ui/skeleton";
import { type RunDetail, useRunDetail, useRunVersions } from "@/features/training/api/runs";
import { type Drawn, LearnerPanel, OtherPanels, TaskPanels } from "@/features/training/components/run-charts";
import { RunConfig } from "@/features/training/components/run-config";
import { type Look, RunControls, useLook } from "@/features/training/components/run-controls";
import { RunFailure, RunFigures, RunHead } from "@/features/training/components/run-head";
import { SuccessPanel } from "@/features/training/components/success-panel";
import { type RunView, useRunView } from "@/features/training/hooks/use-run-view";
import { usePageTitle } from "@/hooks/use-page-title";
import { ProblemError } from "@/lib/api/errors";

/** Charts of more tasks than these are drawn on demand: each costs the browser four canvases. */
const TASKS_AT_FIRST = 6;

export function RunPage({ runId }: { readonly runId: string }) {
  const { data: run, error, refetch } = useRunDetail(runId);
  usePageTitle(run === undefined ? "Training run" : `${run.name}, training`);
  if (run !== undefined) return <KnownRun run={run} />;
  if (error === null) return <PageSkeleton />;
  const isMissing = error instanceof ProblemError && error.problem.status === 404;
  return (
    <div className="grid min-h-[60dvh] place-items-center text-center">
      <h1 className="sr-only">Training run</h1>
      {isMissing ? (
        <Notice icon={MapPinOff} title="There is no such training run">
          It may have been removed, or the link was mistyped.{" "}
          <Link to="/training" className="text-link underline underline-offset-2">
            See all runs
          </Link>
        </Notice>
      ) : (
        <Notice icon={ServerOff} title="The run could not be read" action={<Button onClick={() => void refetch()}>Try again</Button>}>
          {error.message}
        </Notice>
      )}
    </div>
  );
}

function KnownRun({ run }: { readonly run: RunDetail }) {
  const partsId = useId();
  const choice = useLook();
  const [mostTasks, setMostTasks] = useState(TASKS_AT_FIRST);
  const view = useRunView(run.id, choice.look.last, mostTasks);
  const drawn = useDrawn(run.id, view, choice.look);
  return (
    <>
      <RunHead run={run} actions={<RunControls view={view} choice={choice} controls={partsId} />} />
      <RunFailure run={run} />
      <RunFigures run={run} frames={view.frames} />
      <div id={partsId} role="tabpanel" aria-label="Measurements" className="mb-4 grid gap-4">
        <div className="grid gap-4 xl:grid-cols-2">
          <SuccessPanel runId={run.id} />
          {drawn === null ? <NothingDrawn view={view} /> : <LearnerPanel drawn={drawn} />}
        </div>
        {drawn === null ? null : (
          <>
            <TaskPanels drawn={drawn} tasks={view.tasks} config={run.config} onMoreTasks={() => setMostTasks(mostTasks * 2)} />
            <OtherPanels drawn={drawn} />
          </>
        )}
      </div>
      <RunConfig run={run} />
    </>
  );
}

/** What the charts share; null while there is nothing to draw. */
function useDrawn(runId: string, { frames, names }: RunView, look: Look): Drawn | null {
  const { data: versions } = useRunVersions(runId);
  const { axis } = look;
  const marks = useMemo(
    () =>
      (versions ?? []).map(({ number, step, published_ms }) => ({
        x: axis === "time" ? published_ms / 1000 : step,
        label: `v${number}`,
      })),
    [versions, axis],
  );
  return frames === null || names.length === 0 ? null : { names, frames, marks, look };
}

function NothingDrawn({ view: { frames, error, retry } }: { readonly view: RunView }) {
  if (frames === null && error === null) return <Skeleton className="min-h-100" />;
  return (
    <Card>
      {frames === null && error !== null ? (
        <Notice icon={ServerOff} title="The numbers could not be read" action={<Button onClick={retry}>Try again</Button>}>
          {error.message}
        </Notice>
      ) : (
        <Notice icon={ChartLine} title="Nothing measured yet">
          The learner reports every hundred steps once there are episodes to learn from.
        </Notice>
      )}
    </Card>
  );
}

function PageSkeleton() {
  return (
    <>
      <h1 className="sr-only">Training run</h1>
      <Skeleton className="mb-3 h-8 w-80" />
      <Skeleton className="mb-4 h-16" />
      <Skeleton className="mb-4 h-100" />
      <Skeleton className="h-72" />
    </>
  );
}
