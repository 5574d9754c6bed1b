/** `/datasets/:id`: what is collected, and the frozen versions, one of them in full. */

import { Archive, ArchiveRestore, MapPinOff, Pencil, Snowflake } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { LinkButton } from "@/components/ui/link-button";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { notify } from "@/components/ui/toast";
import { type Dataset, useChangeDataset, useDataset, useUncollect } from "@/features/datasets/api/datasets";
import { useVersions, type VersionDetail } from "@/features/datasets/api/versions";
import { EditDialog } from "@/features/datasets/components/dataset-dialog";
import { VersionView } from "@/features/datasets/components/version-view";
import { VersionTable } from "@/features/datasets/components/version-table";
import { usePageTitle } from "@/hooks/use-page-title";
import { useUrlText } from "@/hooks/use-url-choice";
import { ProblemError } from "@/lib/api/errors";
import { formatCount, formatDay, formatNoun } from "@/lib/units/format";

/** What other features offer for a version, such as exporting it. */
export type VersionActions = (dataset: Dataset, version: VersionDetail) => ReactNode;

interface DatasetPageProps {
  readonly id: string;
  readonly actions: VersionActions;
}

export function DatasetPage({ id, actions }: DatasetPageProps) {
  const { data: dataset, error, refetch } = useDataset(id);
  usePageTitle(dataset?.name ?? "Dataset");
  if (dataset !== undefined) return <KnownDataset dataset={dataset} actions={actions} />;
  if (error === null) return <Skeleton className="h-[60dvh]" />;
  const isMissing = error instanceof ProblemError && error.problem.status === 404;
  return (
    <div className="grid min-h-[60dvh] place-items-center text-center">
      <h1 className="sr-only">Dataset</h1>
      {isMissing ? (
        <Notice icon={MapPinOff} title="There is no such dataset">
          <Link to="/datasets" className="text-link underline underline-offset-2">
            See all datasets
          </Link>
        </Notice>
      ) : (
        <ReadFailed title="The dataset could not be read" error={error} onRetry={() => void refetch()} />
      )}
    </div>
  );
}

function KnownDataset({ dataset, actions }: { readonly dataset: Dataset; readonly actions: VersionActions }) {
  return (
    <>
      <DatasetHead dataset={dataset} />
      <div className="grid grid-cols-1 gap-4">
        {dataset.is_archived ? null : <Collected dataset={dataset} />}
        <Versions dataset={dataset} actions={actions} />
      </div>
    </>
  );
}

function DatasetHead({ dataset }: { readonly dataset: Dataset }) {
  const [isEditing, setEditing] = useState(false);
  const change = useChangeDataset(dataset);
  const archive = () =>
    change.mutate(
      { is_archived: !dataset.is_archived },
      { onError: (error) => notify("failed", `Nothing was changed. ${error.message}`) },
    );
  return (
    <div className="mb-4">
      <p className="text-sm">
        <Link to="/datasets" className="text-link underline underline-offset-2">
          Datasets
        </Link>
      </p>
      <div className="flex flex-wrap items-center gap-2">
        <h1 className="min-w-0 grow text-xl font-semibold break-words">
          {dataset.name}
          {dataset.is_archived ? <span className="font-normal text-ink-muted"> (archived)</span> : null}
        </h1>
        <Button needs="curate" onClick={() => setEditing(true)}>
          <Pencil aria-hidden className="size-4" />
          Change
        </Button>
        <Button needs="curate" onClick={archive} disabled={change.isPending}>
          {dataset.is_archived ? <ArchiveRestore aria-hidden className="size-4" /> : <Archive aria-hidden className="size-4" />}
          {dataset.is_archived ? "Bring back" : "Archive"}
        </Button>
      </div>
      {dataset.description === "" ? null : <p className="max-w-prose text-sm whitespace-pre-line">{dataset.description}</p>}
      <p className="text-sm text-ink-muted">
        Licence: {dataset.licence === "" ? "none given" : dataset.licence}. Made {formatDay(Date.parse(dataset.created_at))}
        {dataset.created_by_name === "" ? "" : ` by ${dataset.created_by_name}`}.
      </p>
      {isEditing ? <EditDialog dataset={dataset} onClose={() => setEditing(false)} /> : null}
    </div>
  );
}

function Collected({ dataset }: { readonly dataset: Dataset }) {
  const uncollect = useUncollect(dataset.id);
  const clear = () =>
    uncollect.mutate(
      { all: true },
      {
        onSuccess: ({ changed }) => notify("done", `Took off ${formatNoun(changed, "episode")}.`),
        onError: (error) => notify("failed", `Nothing was taken off. ${error.message}`),
      },
    );
  return (
    <Card className="flex flex-wrap items-center gap-x-3 gap-y-2 p-3">
      <p className="min-w-0 grow text-sm">
        <span className="numeric font-medium">{formatNoun(dataset.collected, "episode")}</span> collected for the next version
        {sinceFrozen(dataset)}.{" "}
        <Link to="/episodes" className="text-link underline underline-offset-2">
          Add more in the library
        </Link>
      </p>
      {dataset.collected === 0 ? null : (
        <Button needs="curate" variant="quiet" onClick={clear} disabled={uncollect.isPending}>
          Take all off
        </Button>
      )}
      <LinkButton needs="curate" to={`/datasets/${dataset.id}/freeze`}>
        <Snowflake aria-hidden className="size-4" />
        Freeze a version
      </LinkButton>
    </Card>
  );
}

/** Freezing takes nothing off: what is collected grows from version to version, and what is new in it is said. */
function sinceFrozen({ collected, collected_new: fresh, newest_version: newest }: Dataset): string {
  if (newest === null || collected === 0 || fresh === null) return "";
  if (fresh === 0) return `, all of them in v${newest} already`;
  return `, ${fresh === collected ? "all" : formatCount(fresh)} of them new since v${newest}`;
}

function Versions({ dataset, actions }: { readonly dataset: Dataset; readonly actions: VersionActions }) {
  const { data: versions, error, refetch } = useVersions(dataset.id);
  const [asked, setAsked] = useUrlText("version", "");
  if (versions === undefined && error !== null) {
    return (
      <Card>
        <ReadFailed title="Versions could not be read" error={error} onRetry={() => void refetch()} />
      </Card>
    );
  }
  if (versions === undefined) return <Skeleton className="h-64" />;
  const chosen = versions.find((version) => `${version.number}` === asked) ?? versions[0];
  if (chosen === undefined) {
    return (
      <Card>
        <Notice icon={Snowflake} title="No version yet">
          Freezing fixes which episodes are in, with their outcomes and splits as they are then.
        </Notice>
      </Card>
    );
  }
  return (
    <>
      <Panel title="Versions">
        <VersionTable versions={versions} chosen={chosen.number} onChoose={(number) => setAsked(number === versions[0]?.number ? "" : `${number}`)} />
      </Panel>
      <VersionView key={chosen.number} dataset={dataset} number={chosen.number} others={versions} actions={actions} />
    </>
  );
}
