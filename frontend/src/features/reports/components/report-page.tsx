/** `/reports`: the manager's charts, one subject a tab. */

import { CalendarX } from "lucide-react";
import { type ReactNode, useId } from "react";
import { Link } from "react-router";

import { Notice } from "@/components/ui/notice";
import { Tabs } from "@/components/ui/tabs";
import { useOverTime } from "@/features/reports/api/metrics";
import { FilterBar } from "@/features/reports/components/filter-bar";
import { GroupChart } from "@/features/reports/components/group-chart";
import { LoopView } from "@/features/reports/components/loop-view";
import { MeasureChart } from "@/features/reports/components/measure-chart";
import { PeopleView } from "@/features/reports/components/people-view";
import { RobotsView } from "@/features/reports/components/robots-view";
import { TargetPanel } from "@/features/reports/components/target-panel";
import { VersionsView } from "@/features/reports/components/versions-view";
import { changed, useReportFilter } from "@/features/reports/hooks/use-report-filter";
import { apiQuery, problemOf, type ReportFilter } from "@/features/reports/report-query";

const VIEWS = [
  { value: "success", label: "Success" },
  { value: "versions", label: "Versions" },
  { value: "throughput", label: "Throughput" },
  { value: "people", label: "Interventions" },
  { value: "loop", label: "Loop" },
  { value: "robots", label: "Robots" },
  { value: "learner", label: "Learner" },
] as const;

const APART = ["unaided", "autonomous", "assisted"] as const;
const THROUGHPUTS = ["throughput_sop", "throughput_recap", "throughput_total"] as const;
const HELP = ["human_share", "interventions", "time_between", "rohe"] as const;

/** `learner`: what the training pages show, put here by the route. */
export function ReportPage({ learner }: { readonly learner: ReactNode }) {
  const panelId = useId();
  const report = useReportFilter();
  const view = VIEWS.find(({ value }) => value === report.parameters.get("view"))?.value ?? "success";
  const problem = problemOf(report.filter);
  return (
    <>
      <div className="mb-3 flex min-h-8 flex-wrap items-center justify-between gap-3">
        <div className="flex flex-wrap items-baseline gap-x-4">
          <h1 className="text-xl font-semibold">Reports</h1>
          <Link to="/reports/periods" className="text-sm text-link underline underline-offset-2">
            Compare two periods
          </Link>
        </div>
        <div className="max-w-full overflow-x-auto">
          <Tabs label="Subject" value={view} options={VIEWS} onValue={(value) => report.set({ view: value === "success" ? "" : value })} controls={panelId} />
        </div>
      </div>
      <FilterBar report={report} />
      <div id={panelId} role="tabpanel" aria-label={VIEWS.find(({ value }) => value === view)?.label}>
        {problem === null ? (
          <View view={view} query={apiQuery(report.filter)} report={report} learner={learner} />
        ) : (
          <Notice icon={CalendarX} title="No range to show">
            {problem}
          </Notice>
        )}
      </div>
    </>
  );
}

interface ViewProps {
  readonly view: (typeof VIEWS)[number]["value"];
  readonly query: string;
  readonly report: ReturnType<typeof useReportFilter>;
  readonly learner: ReactNode;
}

function View({ view, query, report, learner }: ViewProps) {
  const { filter, parameters } = report;
  const bestUrl = (task: string) => `?${changed(parameters, { view: "versions", task: [task] })}`;
  if (view === "versions") return <VersionsView query={query} report={report} />;
  if (view === "throughput") return <ThroughputView query={query} filter={filter} />;
  if (view === "people") return <HelpView query={query} filter={filter} />;
  if (view === "loop") return <LoopView query={query} filter={filter} />;
  if (view === "robots") return <RobotsView query={query} filter={filter} />;
  if (view === "learner") return learner;
  return <SuccessView query={query} filter={filter} bestUrl={bestUrl} />;
}

interface SubjectProps {
  readonly query: string;
  readonly filter: ReportFilter;
}

function SuccessView({ query, filter, bestUrl }: SubjectProps & { readonly bestUrl: (task: string) => string }) {
  const { data, error, refetch } = useOverTime(query, ["success", ...APART]);
  const common = { data, error, filter, onRetry: () => void refetch() };
  return (
    <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
      <MeasureChart title="Success over time" names={["success", "unaided"]} hasTargets {...common} />
      <MeasureChart title="Autonomous and assisted apart" names={["autonomous", "assisted"]} {...common} />
      <GroupChart title="Success by task" group="task" names={APART} query={query} filter={filter} bestUrl={bestUrl} />
      <GroupChart title="Success by robot" group="robot" names={APART} query={query} filter={filter} />
      <GroupChart title="Success by version" group="version" names={APART} query={query} filter={filter} />
      <TargetPanel query={query} />
    </div>
  );
}

function ThroughputView({ query, filter }: SubjectProps) {
  const { data, error, refetch } = useOverTime(query, THROUGHPUTS);
  const common = { data, error, filter, onRetry: () => void refetch() };
  return (
    <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
      {THROUGHPUTS.map((name, index) => (
        <MeasureChart key={name} title={["Throughput (SOP)", "Throughput (RECAP)", "Throughput, all time included"][index] ?? name} names={[name]} {...common} />
      ))}
      <GroupChart title="Throughput by task" group="task" names={THROUGHPUTS} query={query} filter={filter} />
      <GroupChart title="Throughput by robot" group="robot" names={THROUGHPUTS} query={query} filter={filter} />
    </div>
  );
}

function HelpView({ query, filter }: SubjectProps) {
  const { data, error, refetch } = useOverTime(query, HELP);
  const common = { data, error, filter, onRetry: () => void refetch() };
  return (
    <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
      <MeasureChart title="Intervention rate" names={["human_share"]} {...common} />
      <MeasureChart title="Interventions per robot-hour" names={["interventions"]} {...common} />
      <MeasureChart title="Mean time between interventions" names={["time_between"]} {...common} />
      <MeasureChart title="Return on human effort (ROHE)" names={["rohe"]} {...common} />
      <GroupChart title="Interventions by task" group="task" names={["interventions"]} query={query} filter={filter} />
      <GroupChart title="Interventions by robot" group="robot" names={["interventions"]} query={query} filter={filter} />
      <PeopleView query={query} filter={filter} />
    </div>
  );
}
