/** Everything the console knows of one robot, live while it is open. */

import { Chip } from "@/components/ui/chip";
import { Dialog } from "@/components/ui/dialog";
import { Figure } from "@/components/ui/figure";
import { CockpitLink } from "@/features/fleet/components/cockpit-link";
import { EpisodeProgress } from "@/features/fleet/components/episode-progress";
import { HeldNotice } from "@/features/fleet/components/held-notice";
import { RobotFigures } from "@/features/fleet/components/robot-figures";
import { Thumbnail } from "@/features/fleet/components/thumbnail";
import { leaseText, modeText, stopText } from "@/features/fleet/format-robot";
import { statusOf } from "@/features/fleet/robot-status";
import { formatCount } from "@/lib/units/format";
import type { RobotCard } from "@/protocol/generated";

interface RobotDialogProps {
  readonly robot: RobotCard;
  readonly onClose: () => void;
}

export function RobotDialog({ robot, onClose }: RobotDialogProps) {
  const status = statusOf(robot);
  return (
    <Dialog title={robot.name} onClose={onClose}>
      <div className="flex flex-col gap-5 sm:flex-row">
        <Thumbnail robot={robot} className="w-48 self-start rounded-lg" />
        <div className="flex min-w-0 grow flex-col gap-3">
          <CockpitLink robot={robot} />
          {robot.detail ? <p className="text-sm">{robot.detail}</p> : null}
          <div>
            <p className="font-medium">{robot.task || "No task"}</p>
            <p className="text-sm text-ink-muted">{robot.instruction}</p>
          </div>
          <div className="mt-auto">
            <EpisodeProgress robot={robot}>
              <Chip icon={status.icon} tone={status.tone}>
                {status.text}
              </Chip>
            </EpisodeProgress>
          </div>
        </div>
      </div>
      <HeldNotice robot={robot} />
      <dl className="mt-5 grid grid-cols-2 gap-x-6 gap-y-3 border-t border-line pt-4 sm:grid-cols-3">
        <RobotFigures robot={robot} />
        <Figure label="Episodes closed, all time">{formatCount(robot.episodes_closed)}</Figure>
        <Figure label="Mode">{modeText(robot)}</Figure>
        <Figure label="Taken over by">{leaseText(robot)}</Figure>
        <Figure label="Stop">{stopText(robot) || "none"}</Figure>
      </dl>
      <dl className="mt-3 grid gap-3">
        <Identifier label="Episode under way" value={robot.episode_id ?? "none"} />
        <Identifier label="Robot id" value={robot.robot_id} />
      </dl>
    </Dialog>
  );
}

function Identifier({ label, value }: { readonly label: string; readonly value: string }) {
  return (
    <div>
      <dt className="label">{label}</dt>
      <dd className="numeric text-sm break-all">{value}</dd>
    </div>
  );
}
