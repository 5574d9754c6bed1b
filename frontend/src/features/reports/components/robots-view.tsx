/** What the robots did over time. Tasks and versions do not filter it: a robot waits for no task in particular. */

import { ChartFrame } from "@/components/chart/chart-frame";
import { StackChart } from "@/components/chart/stack-chart";
import { Cell, Table } from "@/components/ui/table";
import { useRobotStates } from "@/features/reports/api/metrics";
import type { ReportFilter } from "@/features/reports/report-query";
import { csvRow } from "@/lib/save-file";
import { formatInZone } from "@/lib/time-zone";
import { formatDuration, formatNumber, formatPercent, withUnit } from "@/lib/units/format";
import { fraction, seconds } from "@/lib/units/quantity";

const WORDS: Readonly<Record<string, string>> = { working: "Working", waiting: "Waiting", blocked: "Blocked", offline: "Offline" };
const COLOURS: Readonly<Record<string, number>> = { working: 0, waiting: 5, blocked: 1, offline: 4 };
const hours = (value: number) => withUnit(value === 0 ? "0" : formatNumber(value), "h");

export function RobotsView({ query, filter }: { readonly query: string; readonly filter: ReportFilter }) {
  const { data, error, refetch } = useRobotStates(query);
  const states = data?.states ?? [];
  const edges = data?.edges_ms ?? [];
  const points = data?.points ?? [];
  const robots = data?.robots ?? [];
  const sum = (row: Readonly<Record<string, number>>) => states.reduce((total, state) => total + (row[state] ?? 0), 0);
  const isEmpty = !points.some((point) => sum(point) > 0);
  const common = {
    isLoading: data === undefined && error === null,
    error: data === undefined ? error : null,
    onRetry: () => void refetch(),
    definitions: [{ term: "Robot time", text: data?.definition ?? "" }],
    empty: isEmpty ? "No robot was connected" : null,
  };
  const named = states.map((state) => ({ key: state, label: WORDS[state] ?? state, isNumeric: true }));
  const byRobot = (
    <Table caption="Robot time by robot" columns={[{ key: "robot", label: "Robot" }, ...named]}>
      {robots.filter((robot) => sum(robot.seconds) > 0).map((robot) => (
        <tr key={robot.robot_id}>
          <Cell>{robot.robot}</Cell>
          {states.map((state) => (
            <Cell key={state} isNumeric>
              {`${formatDuration(seconds(robot.seconds[state] ?? 0))} (${formatPercent(fraction((robot.seconds[state] ?? 0) / sum(robot.seconds)))})`}
            </Cell>
          ))}
        </tr>
      ))}
    </Table>
  );
  return (
    <div className="grid grid-cols-1 gap-4">
      <ChartFrame
        title="Robot time"
        fileName="robot-time"
        csv={() => [csvRow(["since", ...states.map((state) => `${state}_s`)]), ...points.map((point, bucket) => csvRow([new Date(edges[bucket] ?? 0).toISOString(), ...states.map((state) => point[state] ?? 0)]))].join("\n")}
        {...common}
        chart={
          <StackChart
            title="Robot time"
            edges={edges}
            zone={filter.zone}
            format={hours}
            layers={states.map((state) => ({ name: WORDS[state] ?? state, colour: COLOURS[state] ?? 3, values: points.map((point) => (point[state] ?? 0) / 3600) }))}
          />
        }
        table={
          <Table caption="Robot time" className="max-h-96" columns={[{ key: "since", label: "From" }, ...named]}>
            {points.map((point, bucket) =>
              sum(point) === 0 ? null : (
                <tr key={edges[bucket]}>
                  <Cell>{formatInZone(edges[bucket] ?? 0, filter.zone, "full")}</Cell>
                  {states.map((state) => (
                    <Cell key={state} isNumeric>
                      {hours((point[state] ?? 0) / 3600)}
                    </Cell>
                  ))}
                </tr>
              ),
            )}
          </Table>
        }
      />
      <ChartFrame
        title="Robot time by robot"
        fileName="robot-time-by-robot"
        csv={() => [csvRow(["robot", ...states.map((state) => `${state}_s`)]), ...robots.map((robot) => csvRow([robot.robot, ...states.map((state) => robot.seconds[state] ?? 0)]))].join("\n")}
        {...common}
        chart={byRobot}
        table={byRobot}
      />
    </div>
  );
}
