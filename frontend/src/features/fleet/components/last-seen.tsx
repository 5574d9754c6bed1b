/** "12 s ago", ticking. Apart, so that the tick renders this text and not the card around it. */

import { lastSeenText } from "@/features/fleet/format-robot";
import { useServerNow } from "@/hooks/use-now";
import type { RobotCard } from "@/protocol/generated";

export function LastSeen({ robot }: { readonly robot: RobotCard }) {
  return <>{lastSeenText(robot, useServerNow())}</>;
}
