/** Every robot with its software and what an admin may do with it. */

import { CirclePause, CirclePlay, KeyRound, Pencil, PowerOff, ScrollText, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Chip } from "@/components/ui/chip";
import { Dialog } from "@/components/ui/dialog";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Robot, useChangeRobot, useRobotAct } from "@/features/robots/api/robots";
import { useServerNow } from "@/hooks/use-now";
import { useRobots } from "@/lib/socket/fleet-store";
import { formatAge } from "@/lib/units/format";
import { elapsed, unixMilliseconds } from "@/lib/units/quantity";
import { PROTOCOL_VERSION } from "@/protocol/generated";

const columns = [
  { key: "robot", label: "Robot" },
  { key: "driver", label: "Driver" },
  { key: "daemon", label: "Daemon" },
  { key: "seen", label: "Last seen" },
  { key: "actions", label: "Actions" },
];

interface RobotTableProps {
  readonly robots: readonly Robot[];
  readonly onEdit: (robot: Robot) => void;
  readonly onRekey: (robot: Robot) => void;
}

export function RobotTable({ robots, onEdit, onRekey }: RobotTableProps) {
  const [retiring, setRetiring] = useState<Robot | null>(null);
  const newest = newestVersion(robots);
  return (
    <>
      <Table caption="Robots" columns={columns}>
        {robots.map((robot) => (
          <tr key={robot.id} className="hover:bg-raised">
            <Cell className="min-w-40">
              <span className="font-medium">{robot.name}</span>
              {robot.retired_at === null ? null : (
                <Chip icon={PowerOff} tone="neutral" className="ml-2">
                  Retired
                </Chip>
              )}
              {robot.tags.length === 0 ? null : <span className="block text-xs text-ink-muted">{robot.tags.join(", ")}</span>}
              {robot.note === "" ? null : <span className="block max-w-72 text-xs text-ink-muted">{robot.note}</span>}
            </Cell>
            <Cell>{robot.driver ?? "Not connected yet"}</Cell>
            <Cell className="numeric whitespace-nowrap">
              <DaemonVersion version={robot.daemon_version} newest={newest} />
              <ProtocolSkew protocol={robot.protocol} />
            </Cell>
            <Cell className="numeric whitespace-nowrap">
              <LastSeen robot={robot} />
            </Cell>
            <Cell className="whitespace-nowrap">
              <Actions
                robot={robot}
                onEdit={onEdit}
                onRekey={onRekey}
                onRetire={setRetiring}
              />
            </Cell>
          </tr>
        ))}
      </Table>
      {retiring === null ? null : <RetireDialog robot={retiring} onClose={() => setRetiring(null)} />}
    </>
  );
}

/** The newest daemon of the fleet; the rest is compared with it. */
function newestVersion(robots: readonly Robot[]): string {
  const collator = new Intl.Collator("en", { numeric: true });
  return robots.map((robot) => robot.daemon_version).toSorted(collator.compare).at(-1) ?? "";
}

function DaemonVersion({ version, newest }: { readonly version: string; readonly newest: string }) {
  if (version === "") return <span className="text-ink-muted">unknown</span>;
  if (version === newest) return <>{version}</>;
  return (
    <span className="flex items-center gap-2">
      {version}
      <Chip icon={TriangleAlert} tone="caution">{`Fleet has ${newest}`}</Chip>
    </span>
  );
}

/** A robot one protocol behind works; any other stays away until one side is upgraded (docs/upgrade.md). */
function ProtocolSkew({ protocol }: { readonly protocol: number | null }) {
  if (protocol === null || protocol === PROTOCOL_VERSION) return null;
  const isServed = protocol === PROTOCOL_VERSION - 1;
  const wish = protocol < PROTOCOL_VERSION ? "upgrade the robot" : "upgrade the server";
  return (
    <Chip icon={TriangleAlert} tone={isServed ? "caution" : "fault"} className="mt-1">
      {isServed ? `Protocol ${protocol}, ${wish} soon` : `Refused: protocol ${protocol}, ${wish}`}
    </Chip>
  );
}

function LastSeen({ robot }: { readonly robot: Robot }) {
  const now = useServerNow();
  const card = useRobots().get(robot.id);
  if (card?.is_online) return <>now</>;
  if (robot.last_seen_at === null) return <span className="text-ink-muted">never</span>;
  return <>{formatAge(elapsed(unixMilliseconds(Date.parse(robot.last_seen_at)), now))}</>;
}

interface ActionsProps extends Omit<RobotTableProps, "robots"> {
  readonly robot: Robot;
  readonly onRetire: (robot: Robot) => void;
}

function Actions({ robot, onEdit, onRekey, onRetire }: ActionsProps) {
  const change = useChangeRobot();
  const isOut = robot.retired_at !== null;
  const pause = () =>
    change.mutate(
      { row: robot, change: { is_paused: !robot.is_paused } },
      {
        onSuccess: (row) => notify("done", row.is_paused ? `${row.name} pauses after this step.` : `${row.name} goes on.`),
        onError: (error) => notify("failed", `${robot.name} was not changed. ${error.message}`),
      },
    );
  return (
    <div className="flex gap-1">
      <Button variant="quiet" needs="edit_robots" disabled={isOut || change.isPending} onClick={pause} aria-label={`${robot.is_paused ? "Let go on" : "Pause"}: ${robot.name}`}>
        {robot.is_paused ? <CirclePlay aria-hidden className="size-4" /> : <CirclePause aria-hidden className="size-4" />}
        {robot.is_paused ? "Go on" : "Pause"}
      </Button>
      <Link
        to={`/settings/robots/${robot.id}/log`}
        aria-label={`Log of ${robot.name}`}
        className="inline-flex h-8 items-center gap-1.5 rounded-md px-2.5 text-sm text-ink-muted hover:bg-raised hover:text-ink"
      >
        <ScrollText aria-hidden className="size-4" />
        Log
      </Link>
      <Button variant="quiet" needs="edit_robots" disabled={isOut} onClick={() => onEdit(robot)} aria-label={`Change ${robot.name}`}>
        <Pencil aria-hidden className="size-4" />
        Change
      </Button>
      <Button variant="quiet" needs="enrol_robots" disabled={isOut} onClick={() => onRekey(robot)} aria-label={`New key for ${robot.name}`}>
        <KeyRound aria-hidden className="size-4" />
        New key
      </Button>
      <Button variant="quiet" needs="enrol_robots" disabled={isOut} onClick={() => onRetire(robot)} aria-label={`Retire ${robot.name}`}>
        <PowerOff aria-hidden className="size-4" />
        Retire
      </Button>
    </div>
  );
}

function RetireDialog({ robot, onClose }: { readonly robot: Robot; readonly onClose: () => void }) {
  const act = useRobotAct();
  const retire = () =>
    act.mutate(
      { row: robot, act: "retire" },
      {
        onSuccess: () => notify("done", `${robot.name} is retired.`),
        onError: (error) => notify("failed", error.message),
        onSettled: onClose,
      },
    );
  return (
    <Dialog title={`Retire ${robot.name}?`} onClose={onClose}>
      <p className="text-sm">
        Its keys become void, its work ends, and it leaves the fleet page. Its episodes stay. This cannot be taken back: the robot
        would have to enrol under another name.
      </p>
      <div className="mt-5 flex justify-end gap-2">
        <Button data-autofocus onClick={onClose}>
          Keep it
        </Button>
        <Button variant="primary" disabled={act.isPending} onClick={retire}>
          Retire
        </Button>
      </div>
    </Dialog>
  );
}
