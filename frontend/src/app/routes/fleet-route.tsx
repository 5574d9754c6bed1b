/** `/`: the live fleet beside what it learns. Below 1024 px the two share the page by tabs. */

import { FleetSummary } from "@/features/fleet/components/fleet-summary";
import { RobotWall } from "@/features/fleet/components/robot-wall";
import { RunPanel } from "@/features/training/components/run-panel";
import { SuccessPanel } from "@/features/training/components/success-panel";
import { Tabs } from "@/components/ui/tabs";
import { usePageTitle } from "@/hooks/use-page-title";
import { useUrlChoice } from "@/hooks/use-url-choice";
import { cn } from "@/lib/class-names";

const views = [
  { value: "robots", label: "Robots" },
  { value: "learning", label: "Learning" },
] as const;

export function FleetRoute() {
  usePageTitle("Fleet");
  const [view, setView] = useUrlChoice("view", ["robots", "learning"], "robots");
  return (
    <>
      <div className="mb-3 flex min-h-8 flex-wrap items-baseline gap-x-6 gap-y-2">
        <h1 className="text-xl font-semibold">Fleet</h1>
        <FleetSummary />
      </div>
      <div className="mb-3 grid lg:hidden">
        <Tabs label="Part of the page" value={view} options={views} onValue={setView} controls="fleet-parts" />
      </div>
      <div
        id="fleet-parts"
        className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_27rem] 2xl:grid-cols-[minmax(0,1fr)_32rem] 3xl:grid-cols-[minmax(0,1fr)_38rem]"
      >
        <section aria-labelledby="robots-heading" className={cn("min-w-0 lg:block", view !== "robots" && "hidden")}>
          <h2 id="robots-heading" className="sr-only">
            Robots
          </h2>
          <RobotWall />
        </section>
        <aside
          aria-label="Learning"
          className={cn("min-w-0 flex-col gap-4 lg:sticky lg:top-16 lg:flex lg:max-h-[calc(100dvh-5rem)] lg:overflow-y-auto lg:[scrollbar-width:thin]", view === "learning" ? "flex" : "hidden")}
        >
          <SuccessPanel />
          <RunPanel />
        </aside>
      </div>
    </>
  );
}
