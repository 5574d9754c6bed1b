/** Pause, resume, stop, copy, begin anew: what may be done to a run, and what it is asked to do meanwhile. */

import { Copy, Pause, Play, Square } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Chip } from "@/components/ui/chip";
import { Dialog } from "@/components/ui/dialog";
import { notify } from "@/components/ui/toast";
import { type Act, useRunAct } from "@/features/training/api/run-admin";
import type { RunDetail } from "@/features/training/api/runs";
import { ProblemError } from "@/lib/api/errors";

const SAID: Readonly<Record<Act, string>> = { pause: "Pause", resume: "Resume", stop: "Stop" };

/** "Pausing: the learner finishes its round": asked, and not confirmed. */
export function AskedChip({ run }: { readonly run: Pick<RunDetail, "asked" | "asked_by_name"> }) {
  if (run.asked === "") return null;
  const by = run.asked_by_name === "" ? "" : `, asked by ${run.asked_by_name}`;
  return <Chip icon={run.asked === "paused" ? Pause : Square} tone="caution">{`${run.asked === "paused" ? "Pausing" : "Stopping"}: the learner finishes its round${by}`}</Chip>;
}

export function RunActs({ run }: { readonly run: RunDetail }) {
  const [isStopping, setStopping] = useState(false);
  const act = useRunAct(run.id);
  const go = (name: Act) =>
    act.mutate(
      { act: name, revision: run.revision },
      {
        onSuccess: ({ asked }) => notify("done", asked === "" ? `${SAID[name]}: done.` : `${SAID[name]}: the learner will obey at the end of its round.`),
        onError: (error) => notify("failed", `${SAID[name]}: ${isLate(error) ? "the run has changed meanwhile. Look again." : error.message}`),
        onSettled: () => setStopping(false),
      },
    );
  const canPause = run.state === "running" && run.asked === "";
  const link = "inline-flex h-8 items-center gap-1.5 rounded-md border border-line-strong bg-surface px-3 text-sm text-ink hover:bg-raised";
  return (
    <div className="mb-4 flex flex-wrap items-center gap-2" role="group" aria-label="Act on this run">
      {/* One button for both ways, and Stop stays: what is pressed keeps the focus of who works by keyboard. */}
      {run.state === "stopped" ? null : (
        <>
          <Button disabled={act.isPending} onClick={() => go(canPause ? "pause" : "resume")}>
            {canPause ? <Pause aria-hidden className="size-4" /> : <Play aria-hidden className="size-4" />}
            {canPause ? "Pause" : run.asked === "" ? "Resume" : "Go on after all"}
          </Button>
          <Button disabled={act.isPending || run.asked === "stopped"} onClick={() => setStopping(true)}>
            <Square aria-hidden className="size-4" /> Stop
          </Button>
        </>
      )}
      <Link to={`/training/new?copy=${run.id}`} className={link}>
        <Copy aria-hidden className="size-4" /> Copy
      </Link>
      <Link to={`/training/compare?run=${run.id}`} className={link}>
        Compare
      </Link>
      {isStopping ? (
        <Dialog title={`Stop ${run.name}?`} onClose={() => setStopping(false)}>
          <p className="mb-4 text-sm">
            The learner finishes its round, and then the run is over for good. Its versions stay, and a new run can begin from any of them.
          </p>
          <div className="flex justify-end gap-2">
            <Button onClick={() => setStopping(false)}>Keep training</Button>
            <Button variant="primary" disabled={act.isPending} onClick={() => go("stop")}>
              Stop the run
            </Button>
          </div>
        </Dialog>
      ) : null}
    </div>
  );
}

const isLate = (error: Error): boolean => error instanceof ProblemError && error.problem.status === 412;
