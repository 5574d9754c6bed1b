/** One frozen version: what is in it, how it was asked for, its statistics and card, and what can be done with it. */

import { BrainCircuit } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { TextAreaField } from "@/components/ui/field";
import { Figure } from "@/components/ui/figure";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { notify } from "@/components/ui/toast";
import type { Dataset } from "@/features/datasets/api/datasets";
import { useAnnotate, useVersion, type Version, type VersionDetail } from "@/features/datasets/api/versions";
import type { VersionActions } from "@/features/datasets/components/dataset-page";
import { TrainDialog } from "@/features/datasets/components/train-dialog";
import { VersionDifference } from "@/features/datasets/components/version-difference";
import { VersionStatistics } from "@/features/datasets/components/version-statistics";
import { SuccessRate } from "@/features/datasets/components/version-table";
import { formatBytes, formatCount, formatDay, formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

interface VersionViewProps {
  readonly dataset: Dataset;
  readonly number: number;
  readonly others: readonly Version[];
  readonly actions: VersionActions;
}

export function VersionView({ dataset, number, others, actions }: VersionViewProps) {
  const { data: version, error, refetch } = useVersion(dataset.id, number);
  if (version === undefined && error !== null) {
    return (
      <Card>
        <ReadFailed title="The version could not be read" error={error} onRetry={() => void refetch()} />
      </Card>
    );
  }
  if (version === undefined) return <Skeleton className="h-96" />;
  return (
    <>
      <Facts dataset={dataset} version={version} actions={actions} />
      <VersionStatistics version={version} />
      <div className="grid grid-cols-1 items-start gap-4 lg:grid-cols-2">
        <Notes dataset={dataset} version={version} />
        <VersionDifference dataset={dataset} version={version} others={others} />
      </div>
      <Panel title="Card">
        <p className="mb-2 text-sm text-ink-muted">Markdown, as an export carries it below the description and the notes.</p>
        <pre tabIndex={0} aria-label="Card" className="max-h-80 overflow-auto rounded-md bg-inset p-3 text-xs">
          {version.card}
        </pre>
      </Panel>
    </>
  );
}

interface FactsProps {
  readonly dataset: Dataset;
  readonly version: VersionDetail;
  readonly actions: VersionActions;
}

function Facts({ dataset, version, actions }: FactsProps) {
  const [isTraining, setTraining] = useState(false);
  const { statistics } = version;
  const day = (time: string) => formatDay(Date.parse(time));
  return (
    <Panel
      title={`Version ${version.number}`}
      actions={
        <div className="flex flex-wrap items-center gap-2">
          <Button needs="run_training" onClick={() => setTraining(true)}>
            <BrainCircuit aria-hidden className="size-4" />
            Train
          </Button>
          {actions(dataset, version)}
        </div>
      }
    >
      <dl className="grid grid-cols-2 gap-3 sm:grid-cols-4">
        <Figure label="Episodes" note={version.archived_left_out === 0 ? null : `${formatCount(version.archived_left_out)} archived left out`}>
          <Link to={`/datasets/${dataset.id}/versions/${version.number}/episodes`} className="text-link underline underline-offset-2">
            {formatCount(version.episodes)}
          </Link>
        </Figure>
        <Figure label="Frames" note={formatBytes(version.size_bytes)}>
          {formatCount(version.frames)}
        </Figure>
        <Figure label="Success: 95 % interval, n">
          <SuccessRate rate={version.success} />
        </Figure>
        <Figure label="Frames driven by people" note={`taken over in ${formatCount(statistics.episodes_with_takeover)} episodes`}>
          {formatPercent(fraction(version.human_frames / version.frames))}
        </Figure>
        <Figure label="Recorded" className="col-span-2">
          {day(statistics.recorded_from)} to {day(statistics.recorded_until)}
        </Figure>
        <Figure label="Frozen" className="col-span-2">
          {day(version.frozen_at)} by {version.frozen_by_name}
        </Figure>
        <Figure label="Splits" className="col-span-2" note={`by seed ${version.seed}${version.is_stratified ? ", each task by itself" : ""}`}>
          {version.splits.map(({ name, share, episodes }) => `${name} ${formatPercent(fraction(share))} = ${formatCount(episodes)}`).join(", ")}
        </Figure>
        <Figure label="Digest" className="col-span-2">
          <code className="text-xs">{version.digest}</code>
        </Figure>
      </dl>
      <details className="mt-3 text-sm">
        <summary>What was asked for</summary>
        <pre tabIndex={0} aria-label="Query" className="mt-1 max-h-48 overflow-auto rounded-md bg-inset p-3 text-xs">
          {JSON.stringify(version.query, null, 2)}
        </pre>
      </details>
      {isTraining ? <TrainDialog dataset={dataset} version={version} onClose={() => setTraining(false)} /> : null}
    </Panel>
  );
}

function Notes({ dataset, version }: { readonly dataset: Dataset; readonly version: VersionDetail }) {
  const annotate = useAnnotate(dataset.id, version);
  const [notes, setNotes] = useState(version.notes);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    annotate.mutate(notes, {
      onSuccess: () => notify("done", "The notes are saved."),
      onError: (error) => notify("failed", `The notes were not saved. ${error.message}`),
    });
  };
  return (
    <Panel title="Notes">
      <form onSubmit={submit} className="flex flex-col items-end gap-2">
        <TextAreaField
          label="Notes"
          isLabelHidden
          className="w-full"
          rows={4}
          maxLength={4000}
          placeholder="All of a version that may change"
          value={notes}
          onChange={(event) => setNotes(event.target.value)}
        />
        <Button needs="curate" type="submit" disabled={notes === version.notes || annotate.isPending}>
          Save notes
        </Button>
      </form>
    </Panel>
  );
}
