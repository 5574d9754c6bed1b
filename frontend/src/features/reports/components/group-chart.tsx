/** Measures by task, robot or version: intervals on one scale, the same as a table, the episodes behind each. */

import { Link } from "react-router";

import { ChartFrame } from "@/components/chart/chart-frame";
import { ForestChart } from "@/components/chart/forest-chart";
import { Cell, Table } from "@/components/ui/table";
import { useByGroup } from "@/features/reports/api/metrics";
import { asPoint, cells, NONE } from "@/features/reports/components/measure-chart";
import { episodesUrl, type ReportFilter } from "@/features/reports/report-query";
import { definitionsOf, formatEstimate, formatValue } from "@/features/reports/words";
import { csvRow } from "@/lib/save-file";

interface GroupChartProps {
  readonly title: string;
  readonly group: "task" | "robot" | "version";
  readonly names: readonly string[];
  readonly query: string;
  readonly filter: ReportFilter;
  /** Leads on from a task. */
  readonly bestUrl?: (task: string) => string;
}

const SHOWN = 40; // rows of a picture; the table has all

export function GroupChart({ title, group, names, query, filter, bestUrl }: GroupChartProps) {
  const { data, error, refetch } = useByGroup(group, query, names);
  const measures = data?.measures ?? [];
  const groups = data?.groups ?? [];
  const unit = measures[0]?.unit ?? "index";
  const range = data?.range ?? { since_ms: 0, until_ms: 0 };
  const hrefOf = (row: (typeof groups)[number]) => episodesUrl(filter, range, { [group]: group === "task" ? row.label : row.key });
  const csv = () =>
    [
      csvRow([group, "key", ...names.flatMap((name) => [name, `${name}_low`, `${name}_high`, `${name}_n`])]),
      ...groups.map((row) => csvRow([row.label, row.key, ...row.estimates.flatMap((estimate) => cells(estimate))])),
    ].join("\n");
  const left = (data?.left_out ?? 0) > 0 ? `The newest ${groups.length} versions; ${data?.left_out ?? 0} older ones are left out. ` : "";
  const cut = groups.length > SHOWN ? `The picture shows the newest ${SHOWN}, the table all ${groups.length}.` : "";
  return (
    <ChartFrame
      title={title}
      definitions={definitionsOf(measures)}
      fileName={`${names[0] ?? "chart"}-by-${group}`}
      csv={csv}
      isLoading={data === undefined && error === null}
      error={data === undefined ? error : null}
      onRetry={() => void refetch()}
      empty={groups.length === 0 ? "No episodes here" : null}
      note={
        <>
          {left}
          {cut}
          {bestUrl ? (
            <ul className="flex flex-wrap gap-x-3">
              {groups.map((row) => (
                <li key={row.key}>
                  <Link className="text-link underline" to={bestUrl(row.label)}>
                    Best version at {row.label}
                  </Link>
                </li>
              ))}
            </ul>
          ) : null}
        </>
      }
      chart={
        <ForestChart
          title={title}
          names={measures.map((measure) => measure.title)}
          format={(value) => formatValue(value, unit)}
          {...(unit === "share" ? { top: 1 } : {})}
          rows={groups.slice(-SHOWN).map((row) => ({ label: row.label, values: measures.map((measure, place) => asPoint(row.estimates[place], measure)) }))}
        />
      }
      table={
        <Table
          caption={title}
          className="max-h-96"
          columns={[{ key: "group", label: group === "task" ? "Task" : group === "robot" ? "Robot" : "Version" }, ...measures.map(({ name, title: label }) => ({ key: name, label, isNumeric: true })), { key: "episodes", label: "Episodes" }]}
        >
          {groups.map((row) => (
            <tr key={row.key}>
              <Cell>{row.label}</Cell>
              {measures.map((measure, place) => (
                <Cell key={measure.name} isNumeric>
                  {formatEstimate(row.estimates[place] ?? NONE, measure)}
                </Cell>
              ))}
              <Cell>
                <Link className="text-link underline" to={hrefOf(row)} aria-label={`Show the episodes of ${row.label}`}>
                  Show
                </Link>
              </Cell>
            </tr>
          ))}
        </Table>
      }
    />
  );
}
