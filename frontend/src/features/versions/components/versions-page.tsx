/** `/versions`: the versions of one run, the one on trial, and how they reach robots. */

import { GitBranch } from "lucide-react";

import { Card } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { useLineage, useRelease, useVersionRuns } from "@/features/versions/api/versions";
import { Lineage } from "@/features/versions/components/lineage";
import { ReleasePanels } from "@/features/versions/components/release-panel";
import { useUrlText } from "@/hooks/use-url-choice";

export function VersionsPage() {
  const { data, error, refetch } = useVersionRuns();
  const [chosen, choose] = useUrlText("run", "");
  const runs = data?.results;
  const run = runs?.find(({ id }) => id === chosen) ?? runs?.find(({ state }) => state === "running") ?? runs?.[0];
  return (
    <>
      <div className="mb-3 flex min-h-8 flex-wrap items-center justify-between gap-3">
        <h1 className="text-xl font-semibold">Versions</h1>
        {runs === undefined || runs.length < 2 ? null : (
          <SelectField
            label="Training run"
            isLabelHidden
            value={run?.id ?? ""}
            options={runs.map(({ id, name }) => ({ value: id, label: name }))}
            onValue={choose}
            className="w-56"
          />
        )}
      </div>
      {runs === undefined && error !== null ? (
        <Unreadable error={error} onRetry={() => void refetch()} />
      ) : runs === undefined ? (
        <Skeleton className="h-96" />
      ) : run === undefined ? (
        <Card>
          <Notice icon={GitBranch} title="No version yet">
            A training run publishes versions; there is no run.
          </Notice>
        </Card>
      ) : (
        <RunVersions key={run.id} run={run.id} />
      )}
    </>
  );
}

function RunVersions({ run }: { readonly run: string }) {
  const lineage = useLineage(run);
  const release = useRelease(run);
  const error = lineage.error ?? release.error;
  if (lineage.data === undefined || release.data === undefined) {
    if (error === null) return <Skeleton className="h-96" />;
    return <Unreadable error={error} onRetry={() => void Promise.all([lineage.refetch(), release.refetch()])} />;
  }
  const { versions } = lineage.data;
  return (
    <>
      <ReleasePanels run={run} release={release.data} />
      <Card className="overflow-hidden">
        {versions.length === 0 ? (
          <Notice icon={GitBranch} title="No version yet">
            The run publishes its base first, then a version whenever it has learned enough.
          </Notice>
        ) : (
          <Lineage versions={versions} />
        )}
      </Card>
      <p className="mt-2 text-xs text-ink-muted">
        Autonomous success: online episodes that succeeded without any human step, of all that terminated, neither aborted nor
        archived. With intervention: those in which somebody drove. 95 % Wilson intervals.
      </p>
    </>
  );
}

export function Unreadable({ error, onRetry }: { readonly error: Error; readonly onRetry: () => void }) {
  return (
    <Card>
      <ReadFailed title="Versions could not be read" error={error} onRetry={onRetry} />
    </Card>
  );
}
