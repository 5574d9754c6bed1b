/** `/wall`: what an operator watches: the robots, and beside them who asks for help. */

import { FleetSummary } from "@/features/fleet/components/fleet-summary";
import { RobotWall } from "@/features/fleet/components/robot-wall";
import { Thumbnail } from "@/features/fleet/components/thumbnail";
import { HelpList } from "@/features/help/components/help-list";
import { usePageTitle } from "@/hooks/use-page-title";
import { useRobots } from "@/lib/socket/fleet-store";

export function WallRoute() {
  usePageTitle("Wall and queue");
  const robots = useRobots();
  const pictureOf = (robotId: string) => {
    const robot = robots.get(robotId);
    return robot ? <Thumbnail robot={robot} className="w-16 rounded-md" isSmall /> : <div className="size-16 rounded-md bg-inset" />;
  };
  return (
    <>
      <div className="mb-3 flex min-h-8 flex-wrap items-baseline gap-x-6 gap-y-2">
        <h1 className="text-xl font-semibold">Wall and queue</h1>
        <FleetSummary />
      </div>
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_27rem]">
        {/* On a phone who waits comes first. */}
        <aside aria-label="Who asks for help" className="min-w-0 lg:sticky lg:top-16 lg:order-2 lg:max-h-[calc(100dvh-5rem)] lg:overflow-y-auto">
          <HelpList pictureOf={pictureOf} />
        </aside>
        <section aria-labelledby="wall-robots" className="min-w-0">
          <h2 id="wall-robots" className="sr-only">
            Robots
          </h2>
          <RobotWall />
        </section>
      </div>
    </>
  );
}
