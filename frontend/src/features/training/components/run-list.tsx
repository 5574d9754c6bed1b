/** Every training run with its state, its newest version and how its success went. */

import { BrainCircuit } from "lucide-react";
import { Link } from "react-router";

import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { type RunSummary, useRuns } from "@/features/training/api/runs";
import { RunStateChip } from "@/features/training/components/run-state-chip";
import { SuccessSpark } from "@/features/training/components/success-spark";
import { algorithmName } from "@/features/training/run-words";
import { useServerNow } from "@/hooks/use-now";
import { formatAge, formatCount, formatDay } from "@/lib/units/format";
import { elapsed, unixMilliseconds } from "@/lib/units/quantity";

const columns = [
  { key: "run", label: "Run" },
  { key: "state", label: "State" },
  { key: "algorithm", label: "Algorithm" },
  { key: "step", label: "Step", isNumeric: true },
  { key: "version", label: "Newest version" },
  { key: "success", label: "Autonomous success: newest part, 95 % interval, n" },
  { key: "created", label: "Created" },
];

export function RunList() {
  const { data: runs, error, refetch } = useRuns();
  if (runs === undefined && error !== null) {
    return (
      <Card>
        <ReadFailed title="Runs could not be read" error={error} onRetry={() => void refetch()} />
      </Card>
    );
  }
  if (runs === undefined) return <Skeleton className="h-40" />;
  if (runs.length === 0) {
    return (
      <Card>
        <Notice icon={BrainCircuit} title="No training run yet">
          A run learns from what the robots record and sends them better versions. The demo creates one; else a manager
          starts one from a policy version.
        </Notice>
      </Card>
    );
  }
  return (
    <>
      <Card className="overflow-hidden">
        <Table caption="Training runs" columns={columns}>
          {runs.map((run) => (
            <RunRow key={run.id} run={run} />
          ))}
        </Table>
      </Card>
      <p className="mt-2 text-xs text-ink-muted">
        Autonomous success: episodes that succeeded without any human step, of all that terminated, driven by the run&apos;s
        versions. The line shows the newest 600 in parts of equally many episodes, with their 95 % Wilson intervals.
      </p>
    </>
  );
}

function RunRow({ run }: { readonly run: RunSummary }) {
  return (
    <tr className="hover:bg-raised">
      <Cell>
        <Link to={`/training/${run.id}`} className="font-medium text-link underline underline-offset-2">
          {run.name}
        </Link>
      </Cell>
      <Cell>
        <RunStateChip state={run.state} />
        {run.asked === "" ? null : <span className="ml-2 text-xs text-ink-muted">{run.asked === "paused" ? "pausing" : "stopping"}</span>}
        {run.failure_code === "" ? null : <code className="ml-2 text-xs text-ink-muted">{run.failure_code}</code>}
      </Cell>
      <Cell>{algorithmName(run.algorithm)}</Cell>
      <Cell isNumeric>{formatCount(run.step)}</Cell>
      <Cell className="numeric whitespace-nowrap">
        <NewestVersion run={run} />
      </Cell>
      <Cell>
        <SuccessSpark parts={run.success} />
      </Cell>
      <Cell className="numeric whitespace-nowrap text-ink-muted">{formatDay(Date.parse(run.created_at))}</Cell>
    </tr>
  );
}

/** "v46, 12 s ago", or "none". */
export function NewestVersion({ run }: { readonly run: Pick<RunSummary, "newest_version" | "newest_version_at"> }) {
  const now = useServerNow();
  if (run.newest_version === null || run.newest_version_at === null) return <>none</>;
  const age = elapsed(unixMilliseconds(Date.parse(run.newest_version_at)), now);
  return (
    <>
      v{run.newest_version} <span className="text-ink-muted">{formatAge(age)}</span>
    </>
  );
}
