/** The live robots as cards or as a table, with what to say when there are none. */

import { Bot, SearchX } from "lucide-react";
import { useCallback, useMemo, useState } from "react";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { Skeleton } from "@/components/ui/skeleton";
import { FleetToolbar } from "@/features/fleet/components/fleet-toolbar";
import { RobotCard } from "@/features/fleet/components/robot-card";
import { RobotDialog } from "@/features/fleet/components/robot-dialog";
import { RobotTable } from "@/features/fleet/components/robot-table";
import { visibleRobots } from "@/features/fleet/fleet-view";
import { useFleetView } from "@/features/fleet/hooks/use-fleet-view";
import { cn } from "@/lib/class-names";
import { useConnection, useIsFleetKnown, useRobots } from "@/lib/socket/fleet-store";

const grid = "grid grid-cols-[repeat(auto-fill,minmax(min(100%,20.5rem),1fr))] gap-3";

export function RobotWall() {
  const controls = useFleetView();
  const { view, setSearch, setStatus } = controls;
  const robots = useRobots();
  const isKnown = useIsFleetKnown();
  const isLive = useConnection().phase === "connected";
  const [openId, setOpenId] = useState<string | null>(null);
  const open = useCallback((robotId: string) => setOpenId(robotId), []);
  const close = useCallback(() => setOpenId(null), []);
  const { search, status, sort, layout } = view;
  const rows = useMemo(
    () => visibleRobots(robots.values(), { search, status, sort, layout }),
    [robots, search, status, sort, layout],
  );
  const opened = openId === null ? undefined : robots.get(openId);
  const showAll = () => {
    setSearch("");
    setStatus("all");
  };

  return (
    <div className="flex flex-col gap-3">
      <FleetToolbar {...controls} />
      {!isKnown ? (
        <LoadingWall />
      ) : robots.size === 0 ? (
        <NoRobots />
      ) : rows.length === 0 ? (
        <Card>
          <Notice icon={SearchX} title="No robot matches" action={<Button onClick={showAll}>Show every robot</Button>}>
            Nothing in the fleet fits this search and status.
          </Notice>
        </Card>
      ) : (
        // Without colour while the link is down: what is seen then is the past.
        <div className={cn(!isLive && "grayscale")}>
          {layout === "table" ? (
            <RobotTable rows={rows} onOpen={open} />
          ) : (
            <div className={grid}>
              {rows.map((row) => (
                <RobotCard key={row.robot.robot_id} row={row} onOpen={open} />
              ))}
            </div>
          )}
        </div>
      )}
      {opened ? <RobotDialog robot={opened} onClose={close} /> : null}
    </div>
  );
}

function LoadingWall() {
  return (
    <div className={grid} role="status" aria-label="Reading the fleet">
      {[0, 1, 2, 3].map((index) => (
        <Skeleton key={index} className="h-62 rounded-lg" />
      ))}
    </div>
  );
}

function NoRobots() {
  return (
    <Card>
      <Notice icon={Bot} title="No robots yet">
        A robot appears here as soon as it has enrolled. Print a one-time token with{" "}
        <code className="whitespace-nowrap text-ink">manage.py enrol_token --name NAME</code> and start the robot’s daemon
        with it.
      </Notice>
    </Card>
  );
}
