/** Admins' robots: those that wait for approval first, then all, then the codes that nobody has used yet. */

import { Bot, UserPlus } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { TextField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Code, type Robot, useCodes, useRevokeCode, useRobotAct, useRobotRows } from "@/features/robots/api/robots";
import { CodeDialog } from "@/features/robots/components/code-dialog";
import { RobotEditDialog } from "@/features/robots/components/robot-edit-dialog";
import { RobotTable } from "@/features/robots/components/robot-table";
import { useMay } from "@/hooks/use-session";
import { useUrlFlag } from "@/hooks/use-url-choice";
import { formatDay, formatNoun } from "@/lib/units/format";

/** What lies over the page of one robot: a new code for it, or its values. A code for a new robot is in the URL. */
type Open = { readonly kind: "code"; readonly robot: Robot } | { readonly kind: "edit"; readonly robot: Robot };

export function RobotsPage() {
  const canEnrol = useMay("enrol_robots");
  const [open, setOpen] = useState<Open | null>(null);
  const [isNew, setNew] = useUrlFlag("new");
  const [search, setSearch] = useState("");
  const [withRetired, setWithRetired] = useState(false);
  const { data: robots, error, refetch } = useRobotRows();
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = robots?.filter(
    (robot) =>
      robot.is_approved &&
      (withRetired || robot.retired_at === null) &&
      words.every((word) => [robot.name, ...robot.tags].some((text) => text.toLowerCase().includes(word))),
  );
  return (
    <div className="flex flex-col gap-4">
      <Waiting robots={robots?.filter((robot) => !robot.is_approved && robot.retired_at === null) ?? []} />
      <Card className="overflow-hidden">
        <div className="flex flex-wrap items-center gap-3 border-b border-line px-3 py-2">
          <TextField
            label="Find robots by name or tag"
            isLabelHidden
            placeholder="Find robots by name or tag"
            type="search"
            className="w-64"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <label className="flex min-h-8 grow items-center gap-2 text-sm">
            <input
              type="checkbox"
              className="size-4 accent-action"
              checked={withRetired}
              onChange={(event) => setWithRetired(event.target.checked)}
            />
            Show retired robots
          </label>
          <Button needs="enrol_robots" variant="primary" onClick={() => setNew(true)}>
            <UserPlus aria-hidden className="size-4" />
            Enrol a robot
          </Button>
        </div>
        {shown === undefined ? (
          error === null ? (
            <Skeleton className="m-3 h-40" />
          ) : (
            <ReadFailed title="Robots could not be read" error={error} onRetry={() => void refetch()} />
          )
        ) : shown.length === 0 ? (
          <Notice icon={Bot} title={robots?.length === 0 ? "No robot yet" : "No robot is called so"}>
            Enrol one: you get a code that works once, and the command to run on the robot.
          </Notice>
        ) : (
          <RobotTable
            robots={shown}
            onEdit={(robot) => setOpen({ kind: "edit", robot })}
            onRekey={(robot) => setOpen({ kind: "code", robot })}
          />
        )}
      </Card>
      {canEnrol ? <Codes /> : null}
      {isNew && canEnrol ? <CodeDialog robot={null} onClose={() => setNew(false)} /> : null}
      {open?.kind === "code" ? <CodeDialog robot={open.robot} onClose={() => setOpen(null)} /> : null}
      {open?.kind === "edit" ? <RobotEditDialog robot={open.robot} onClose={() => setOpen(null)} /> : null}
    </div>
  );
}

function Waiting({ robots }: { readonly robots: readonly Robot[] }) {
  const act = useRobotAct();
  if (robots.length === 0) return null;
  const run = (row: Robot, name: "approve" | "retire", told: string) =>
    act.mutate({ row, act: name }, { onSuccess: () => notify("done", told), onError: (error) => notify("failed", error.message) });
  return (
    <Panel title={`${formatNoun(robots.length, "robot")} waiting for approval`}>
      <ul className="flex flex-col gap-2">
        {robots.map((row) => (
          <li key={row.id} className="flex flex-wrap items-center gap-3 text-sm">
            <span className="font-medium">{row.name}</span>
            <span className="grow text-ink-muted">
              enrolled {formatDay(Date.parse(row.enrolled_at))}, driver {row.driver ?? "not connected yet"}
            </span>
            <Button needs="enrol_robots" disabled={act.isPending} onClick={() => run(row, "approve", `${row.name} may work now.`)}>
              Approve
            </Button>
            <Button
              variant="quiet"
              needs="enrol_robots"
              disabled={act.isPending}
              onClick={() => run(row, "retire", `${row.name} is turned away; its key is void.`)}
            >
              Turn away
            </Button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

const codeColumns = [
  { key: "note", label: "For" },
  { key: "kind", label: "What it gives" },
  { key: "expires", label: "Valid until" },
  { key: "actions", label: "Actions" },
];

function Codes() {
  const { data: codes = [] } = useCodes();
  const revoke = useRevokeCode();
  if (codes.length === 0) return null;
  const drop = (code: Code) =>
    revoke.mutate(code.id, {
      onSuccess: () => notify("done", "The code is void."),
      onError: (error) => notify("failed", error.message),
    });
  return (
    <Panel title="Codes that nobody has used yet">
      <Table caption="Unused enrolment codes" columns={codeColumns}>
        {codes.map((code) => (
          <tr key={code.id}>
            <Cell>{code.note || "No note"}</Cell>
            <Cell>{code.robot === null ? (code.needs_approval ? "A robot, once approved" : "A robot") : `A new key for ${code.robot}`}</Cell>
            <Cell className="numeric">{formatDay(Date.parse(code.expires_at))}</Cell>
            <Cell>
              <Button variant="quiet" disabled={revoke.isPending} onClick={() => drop(code)} aria-label={`Revoke the code for ${code.note || "no note"}`}>
                Revoke
              </Button>
            </Cell>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}
