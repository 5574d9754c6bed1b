/** The figures that card and dialog share, as the items of a `dl`. */

import { Figure } from "@/components/ui/figure";
import { LastSeen } from "@/features/fleet/components/last-seen";
import { controlText, overrunsText, policyText, stalenessText } from "@/features/fleet/format-robot";
import { formatCount } from "@/lib/units/format";
import type { RobotCard } from "@/protocol/generated";

export function RobotFigures({ robot }: { readonly robot: RobotCard }) {
  return (
    <>
      <Figure label="Policy" note={stalenessText(robot)}>
        {policyText(robot)}
      </Figure>
      <Figure label="Last seen">
        <LastSeen robot={robot} />
      </Figure>
      <Figure label="Control loop" note={overrunsText(robot)}>
        {controlText(robot)}
      </Figure>
      <Figure label="Episodes to upload">{formatCount(robot.pending_episodes)}</Figure>
    </>
  );
}
