/** `/help`: the robots that ask for a person, the most urgent first, beside how it went so far. */

import { Thumbnail } from "@/features/fleet/components/thumbnail";
import { HelpList } from "@/features/help/components/help-list";
import { PastRequests } from "@/features/help/components/past-requests";
import { QueueControls } from "@/features/help/components/queue-controls";
import { QueueFigures } from "@/features/help/components/queue-figures";
import { useMay } from "@/hooks/use-session";
import { usePageTitle } from "@/hooks/use-page-title";
import { useRobots } from "@/lib/socket/fleet-store";

export function HelpRoute() {
  usePageTitle("Help");
  const robots = useRobots();
  const mayRank = useMay("rank_help");
  const pictureOf = (robotId: string) => {
    const robot = robots.get(robotId);
    return robot ? <Thumbnail robot={robot} className="w-16 rounded-md" isSmall /> : <div className="size-16 rounded-md bg-inset" />;
  };
  return (
    <>
      <h1 className="mb-3 text-xl font-semibold">Help</h1>
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_24rem]">
        <div className="flex min-w-0 flex-col gap-4">
          <HelpList pictureOf={pictureOf} />
          <PastRequests />
        </div>
        <aside aria-label="About the queue" className="flex min-w-0 flex-col gap-4">
          <QueueControls mayRank={mayRank} />
          <QueueFigures />
        </aside>
      </div>
    </>
  );
}
