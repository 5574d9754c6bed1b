/** One training run from head to configuration: is it well, does it get better, and why. */

import { ChartLine, MapPinOff } from "lucide-react";
import { useId, useMemo, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type RunDetail, useRunDetail, useRunVersions } from "@/features/training/api/runs";
import { RunActs } from "@/features/training/components/run-acts";
import { type Drawn, LearnerPanel, OtherPanels, TaskPanels } from "@/features/training/components/run-charts";
import { RunConfig } from "@/features/training/components/run-config";
import { type Look, RunControls, useLook } from "@/features/training/components/run-controls";
import { RunFailure, RunFigures, RunHead } from "@/features/training/components/run-head";
import { SuccessPanel } from "@/features/training/components/success-panel";
import { type RunView, TASKS_A_PAGE, useRunView } from "@/features/training/hooks/use-run-view";
import { usePageTitle } from "@/hooks/use-page-title";
import { ProblemError } from "@/lib/api/errors";

export function RunPage({ runId, mayRun }: { readonly runId: string; readonly mayRun: boolean }) {
  const { data: run, error, refetch } = useRunDetail(runId);
  usePageTitle(run === undefined ? "Training run" : `${run.name}, training`);
  if (run !== undefined) return <KnownRun run={run} mayRun={mayRun} />;
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
        <ReadFailed title="The run could not be read" error={error} onRetry={() => void refetch()} />
      )}
    </div>
  );
}

function KnownRun({ run, mayRun }: { readonly run: RunDetail; readonly mayRun: boolean }) {
  const partsId = useId();
  const choice = useLook();
  const [page, setPage] = useState(0);
  const view = useRunView(run.id, choice.look.last, page);
  const drawn = useDrawn(run.id, view, choice.look);
  return (
    <>
      <RunHead run={run} actions={<RunControls view={view} choice={choice} controls={partsId} />} />
      {mayRun ? <RunActs run={run} /> : null}
      <RunFailure run={run} />
      <RunFigures run={run} frames={view.frames} />
      <div id={partsId} role="tabpanel" aria-label="Measurements" className="mb-4 grid gap-4">
        <div className="grid gap-4 xl:grid-cols-2">
          <SuccessPanel runId={run.id} />
          {drawn === null ? <NothingDrawn view={view} state={run.state} /> : <LearnerPanel drawn={drawn} />}
        </div>
        {drawn === null ? null : (
          <>
            <TaskPages view={view} page={page} onPage={setPage} />
            <TaskPanels drawn={drawn} tasks={view.tasks} config={run.config} />
            <OtherPanels drawn={drawn} />
          </>
        )}
      </div>
      <RunConfig run={run} />
    </>
  );
}

interface TaskPagesProps {
  readonly view: RunView;
  readonly page: number;
  readonly onPage: (page: number) => void;
}

/** Nothing for the few tasks of most runs. */
function TaskPages({ view: { allTasks, tasks }, page, onPage }: TaskPagesProps) {
  if (allTasks.length <= TASKS_A_PAGE) return null;
  const first = page * TASKS_A_PAGE;
  return (
    <nav aria-label="Tasks" className="flex items-center gap-3">
      <Button onClick={() => onPage(page - 1)} disabled={page === 0}>
        Previous tasks
      </Button>
      <Button onClick={() => onPage(page + 1)} disabled={first + tasks.length >= allTasks.length}>
        Next tasks
      </Button>
      <p className="numeric text-sm text-ink-muted">
        {first + 1} to {first + tasks.length} of {allTasks.length} tasks
      </p>
    </nav>
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

/** Still reading, could not read, or nothing there: and what has to happen for something to be there. */
function NothingDrawn({ view: { frames, error, retry }, state }: { readonly view: RunView; readonly state: string }) {
  if (frames === null && error === null) return <Skeleton className="min-h-100" />;
  return (
    <Card>
      {frames === null && error !== null ? (
        <ReadFailed title="The numbers could not be read" error={error} onRetry={retry} />
      ) : (
        <Notice icon={ChartLine} title="Nothing measured yet">
          {state === "paused" ? "The run is paused: a manager resumes it. " : ""}
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
