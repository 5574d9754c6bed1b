/** What became of a version on each robot, and pinning a robot to it. */

import { Ban, CircleCheck, Hourglass, Pin, Play } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Cell, Table } from "@/components/ui/table";
import type { Deployment, Report } from "@/features/versions/api/versions";
import type { Plan } from "@/features/versions/components/act-dialog";
import { formatBytes, formatDay } from "@/lib/units/format";

const columns = [
  { key: "robot", label: "Robot" },
  { key: "state", label: "State" },
  { key: "announced", label: "Announced" },
  { key: "applied", label: "Drove first" },
  { key: "bytes", label: "Fetched", isNumeric: true },
  { key: "pin", label: "Pin" },
];

interface DeploymentsProps {
  readonly report: Report;
  readonly onPlan: (plan: Plan) => void;
}

export function DeploymentsPanel({ report, onPlan }: DeploymentsProps) {
  const { version, deployments } = report;
  const pin = (row: Deployment) =>
    onPlan({
      title: `Pin ${row.robot_name} to v${version.number}`,
      text: `${row.robot_name} drives with this version, whatever is rolled out, until the pin is removed.`,
      button: "Pin",
      done: `${row.robot_name} is pinned.`,
      make: (reason) => ({ kind: "pin", robot: row.robot, over: row.robot_revision, version: version.id, reason }),
    });
  const unpin = (row: Deployment) =>
    onPlan({
      title: `Remove the pin of ${row.robot_name}`,
      text: `${row.robot_name} follows its run again.`,
      button: "Remove",
      done: `${row.robot_name} follows its run.`,
      make: () => ({ kind: "unpin", robot: row.robot, over: row.robot_revision }),
    });
  return (
    <Panel title="On robots" className="mt-4">
      {deployments.length === 0 ? (
        <p className="text-sm text-ink-muted">No robot was told of it yet.</p>
      ) : (
        <Table caption="Deployments" columns={columns}>
          {deployments.map((row) => (
            <tr key={row.robot}>
              <Cell>{row.robot_name}</Cell>
              <Cell>
                <State row={row} />
              </Cell>
              <Cell className="numeric whitespace-nowrap">{formatDay(Date.parse(row.announced_at))}</Cell>
              <Cell className="numeric whitespace-nowrap">
                {row.applied_at === null ? "–" : formatDay(Date.parse(row.applied_at))}
              </Cell>
              <Cell isNumeric>{formatBytes(row.fetched_bytes)}</Cell>
              <Cell>
                <span className="inline-flex flex-wrap items-center gap-1">
                  {row.pinned_version === null ? null : (
                    <Chip icon={Pin} tone="neutral">
                      {pinText(row, report)}
                    </Chip>
                  )}
                  {row.pinned_version === version.id ? null : (
                    <Button variant="quiet" needs="release_versions" aria-label={`Pin ${row.robot_name}`} onClick={() => pin(row)}>
                      Pin
                    </Button>
                  )}
                  {row.pinned_version === null ? null : (
                    <Button variant="quiet" needs="release_versions" aria-label={`Unpin ${row.robot_name}`} onClick={() => unpin(row)}>
                      Unpin
                    </Button>
                  )}
                  {row.pinned_reason === "" ? null : <span className="text-xs text-ink-muted">{row.pinned_reason}</span>}
                </span>
              </Cell>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

/** A number alone is of the run that this page is about. */
function pinText({ pinned_version: pinned, pinned_number: number, pinned_run_name: run }: Deployment, report: Report): string {
  if (pinned === report.version.id) return "Pinned";
  const other = run === null || run === report.run_name ? "" : ` of ${run}`;
  return `Pinned to v${number ?? "?"}${other}`;
}

function State({ row }: { readonly row: Deployment }) {
  if (row.refused_code !== "") {
    return (
      <span className="inline-flex items-center gap-2">
        <Chip icon={Ban} tone="fault">
          Refused
        </Chip>
        <code className="text-xs">{row.refused_code}</code>
        <span className="text-xs text-ink-muted">{row.refused_message}</span>
      </span>
    );
  }
  if (row.is_running) {
    return (
      <Chip icon={Play} tone="neutral">
        Drives now
      </Chip>
    );
  }
  if (row.applied_at !== null) {
    return (
      <Chip icon={CircleCheck} tone="neutral">
        Drove before
      </Chip>
    );
  }
  return (
    <Chip icon={Hourglass} tone="neutral">
      Announced
    </Chip>
  );
}
