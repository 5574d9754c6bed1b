/** The fleet as a table: forty robots on one screen. */

import { Chip } from "@/components/ui/chip";
import { Cell, Table } from "@/components/ui/table";
import { LastSeen } from "@/features/fleet/components/last-seen";
import { Thumbnail } from "@/features/fleet/components/thumbnail";
import type { RobotRow } from "@/features/fleet/fleet-view";
import { controlText, isInEpisode, overrunsText, policyText, stalenessText } from "@/features/fleet/format-robot";
import { formatCount } from "@/lib/units/format";
import type { RobotCard } from "@/protocol/generated";

const columns = [
  { key: "robot", label: "Robot" },
  { key: "status", label: "Status" },
  { key: "task", label: "Task" },
  { key: "step", label: "Step", isNumeric: true },
  { key: "policy", label: "Policy" },
  { key: "upload", label: "To upload", isNumeric: true },
  { key: "control", label: "Control loop" },
  { key: "seen", label: "Last seen" },
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
                className="rounded px-1 py-0.5 text-left font-medium whitespace-nowrap hover:underline"
              >
                {robot.name}
              </button>
            </div>
          </Cell>
          <Cell>
            <Chip icon={status.icon} tone={status.tone} className="whitespace-nowrap">
              {status.text}
            </Chip>
          </Cell>
          <Cell className="whitespace-nowrap">{robot.task || "–"}</Cell>
          <Cell isNumeric className="whitespace-nowrap">
            {stepText(robot)}
          </Cell>
          <NoteCell value={policyText(robot)} note={stalenessText(robot)} />
          <Cell isNumeric>{formatCount(robot.pending_episodes)}</Cell>
          <NoteCell value={controlText(robot)} note={overrunsText(robot)} />
          <Cell className="numeric min-w-24 whitespace-nowrap">
            <LastSeen robot={robot} />
          </Cell>
        </tr>
      ))}
    </Table>
  );
}

const stepText = (robot: RobotCard): string =>
  isInEpisode(robot) ? `${formatCount(robot.step)} / ${formatCount(robot.max_steps)}` : "–";

function NoteCell({ value, note }: { readonly value: string; readonly note: string }) {
  return (
    <Cell className="numeric whitespace-nowrap">
      {value} <span className="text-ink-muted">{note}</span>
    </Cell>
  );
}
