/** The fleet as a table: forty robots on one screen. */

import { Chip } from "@/components/ui/chip";
import { Cell, Table } from "@/components/ui/table";
import { CockpitLink } from "@/features/fleet/components/cockpit-link";
import { LastSeen } from "@/features/fleet/components/last-seen";
import { Thumbnail } from "@/features/fleet/components/thumbnail";
import type { RobotRow } from "@/features/fleet/fleet-view";
import { controlText, isInEpisode, overrunsText, policyText, stalenessText } from "@/features/fleet/format-robot";
import { cn } from "@/lib/class-names";
import { formatCount } from "@/lib/units/format";
import type { RobotCard } from "@/protocol/generated";

// Narrower screens leave these columns to the details of the robot.
const wideOnly = "hidden 2xl:table-cell";

const columns = [
  { key: "robot", label: "Robot" },
  { key: "status", label: "Status" },
  { key: "task", label: "Task" },
  { key: "step", label: "Step", isNumeric: true },
  { key: "policy", label: "Policy" },
  { key: "upload", label: "To upload", isNumeric: true, className: wideOnly },
  { key: "control", label: "Control loop", className: wideOnly },
  { key: "seen", label: "Last seen" },
  { key: "cockpit", label: "Cockpit" },
];

interface RobotTableProps {
  readonly rows: readonly RobotRow[];
  readonly onOpen: (robotId: string) => void;
}

export function RobotTable({ rows, onOpen }: RobotTableProps) {
  return (
    <Table caption="Robot table" columns={columns} className="rounded-lg border border-line bg-surface">
      {rows.map(({ robot, status }) => (
        <tr key={robot.robot_id} className="hover:bg-raised">
          <Cell className="py-1">
            <div className="flex items-center gap-2.5">
              <Thumbnail robot={robot} className="w-9 rounded" isSmall />
              <button
                type="button"
                aria-label={`${robot.name}, details`}
                onClick={() => onOpen(robot.robot_id)}
                title={robot.name}
                className="max-w-32 truncate rounded px-1 py-0.5 text-left font-medium hover:underline"
              >
                {robot.name}
              </button>
            </div>
          </Cell>
          <Cell>
            <div className="flex max-w-44 2xl:max-w-64">
              <Chip icon={status.icon} tone={status.tone}>
                {status.text}
              </Chip>
            </div>
          </Cell>
          <Cell className="whitespace-nowrap">{robot.task || "–"}</Cell>
          <Cell isNumeric className="whitespace-nowrap">
            {stepText(robot)}
          </Cell>
          <NoteCell value={policyText(robot)} note={stalenessText(robot)} />
          <Cell isNumeric className={wideOnly}>
            {formatCount(robot.pending_episodes)}
          </Cell>
          <NoteCell value={controlText(robot)} note={overrunsText(robot)} className={wideOnly} />
          <Cell className="numeric min-w-24 whitespace-nowrap">
            <LastSeen robot={robot} />
          </Cell>
          <Cell>
            <CockpitLink robot={robot} />
          </Cell>
        </tr>
      ))}
    </Table>
  );
}

const stepText = (robot: RobotCard): string =>
  isInEpisode(robot) ? `${formatCount(robot.step)} / ${formatCount(robot.max_steps)}` : "–";

interface NoteCellProps {
  readonly value: string;
  readonly note: string;
  readonly className?: string;
}

function NoteCell({ value, note, className }: NoteCellProps) {
  return (
    <Cell className={cn("numeric whitespace-nowrap", className)}>
      {value} <span className="text-ink-muted">{note}</span>
    </Cell>
  );
}
