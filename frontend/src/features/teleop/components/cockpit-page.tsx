/** The cockpit of one robot, or of two side by side to keep an eye on. */

import { CircleHelp } from "lucide-react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { usePageTitle } from "@/hooks/use-page-title";
import { useRobotRecord } from "@/features/teleop/api/robot";
import { Cockpit } from "@/features/teleop/components/cockpit";
import type { User } from "@/features/teleop/components/controls";
import { LeaveGuard } from "@/features/teleop/components/leave-guard";
import { ProblemError } from "@/lib/api/errors";
import { cn } from "@/lib/class-names";
import { useRobots } from "@/lib/socket/fleet-store";
import { useHurriedLink } from "@/lib/socket/use-fleet-link";

interface CockpitPageProps {
  /** One or two. */
  readonly robotIds: readonly string[];
  readonly user: User;
}

export function CockpitPage({ robotIds, user }: CockpitPageProps) {
  useHurriedLink();
  const robots = useRobots();
  const names = robotIds.map((id) => robots.get(id)?.name ?? "robot").join(", ");
  usePageTitle(`Cockpit: ${names}`);
  const isMonitor = robotIds.length > 1;
  return (
    <div className="-m-2.5">
      <h1 className="sr-only">Cockpit of {names}</h1>
      <div className={cn("grid gap-4", isMonitor && "lg:grid-cols-2")}>
        {robotIds.map((id, index) => (
          <Pane key={id} robotId={id} user={user} isCompact={isMonitor} hasFirstFocus={index === 0} />
        ))}
      </div>
      <LeaveGuard />
    </div>
  );
}

interface PaneProps {
  readonly robotId: string;
  readonly user: User;
  readonly isCompact: boolean;
  readonly hasFirstFocus: boolean;
}

function Pane({ robotId, user, isCompact, hasFirstFocus }: PaneProps) {
  const { data, error, refetch } = useRobotRecord(robotId);
  const card = useRobots().get(robotId) ?? null;
  if (error instanceof ProblemError && error.problem.status === 404) {
    return (
      <Notice icon={CircleHelp} title="There is no such robot" action={<Link to="/" className="text-link underline">Go to the fleet</Link>}>
        It may have been removed, or the address is wrong.
      </Notice>
    );
  }
  if (data === undefined && error !== null) {
    return (
      <ReadFailed title="The robot cannot be read" error={error} onRetry={() => void refetch()} />
    );
  }
  if (data === undefined) return <Skeleton className="h-[calc(100dvh-4.5rem)]" />;
  if (data.actionNames.length === 0) {
    return (
      <Notice icon={CircleHelp} title={`${data.name} never connected`} action={<Button onClick={() => void refetch()}>Look again</Button>}>
        Nothing is known of its axes and cameras until it does.
      </Notice>
    );
  }
  return <Cockpit record={data} card={card} user={user} isCompact={isCompact} hasFirstFocus={hasFirstFocus} />;
}
