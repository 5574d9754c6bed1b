/** Which version is best, how sure that is, and two versions against each other. */

import { Trophy } from "lucide-react";
import { Link } from "react-router";

import { ChartFrame } from "@/components/chart/chart-frame";
import { ForestChart } from "@/components/chart/forest-chart";
import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { Cell, Table } from "@/components/ui/table";
import { useBestVersion, useComparison } from "@/features/reports/api/metrics";
import { useVersionChoices } from "@/features/reports/api/choices";
import { Compared } from "@/features/reports/components/compared";
import type { ReportState } from "@/features/reports/hooks/use-report-filter";
import { episodesUrl } from "@/features/reports/report-query";
import { formatEstimate, formatN, formatValue } from "@/features/reports/words";
import { csvRow } from "@/lib/save-file";
import { formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const SHARE = { unit: "share" };
const OF = [
  { value: "", label: "Unaided success" },
  { value: "success", label: "Success rate" },
] as const;

export function VersionsView({ query, report }: { readonly query: string; readonly report: ReportState }) {
  const of = report.parameters.get("of") === "success" ? "success" : "unaided";
  return (
    <div className="grid grid-cols-1 gap-4">
      <SelectField
        label="Counted as good"
        className="w-48"
        options={OF}
        value={of === "success" ? "success" : ""}
        onValue={(value) => report.set({ of: value })}
      />
      <BestPanel query={`${query}&of=${of}`} report={report} />
      <ComparePanel query={query} of={of} report={report} />
    </div>
  );
}

function BestPanel({ query, report }: { readonly query: string; readonly report: ReportState }) {
  const { data, error, refetch } = useBestVersion(query);
  const range = data?.range ?? { since_ms: 0, until_ms: 0 };
  const rows = data?.versions ?? [];
  const task = report.filter.tasks.length === 1 ? ` at ${report.filter.tasks[0] ?? ""}` : "";
  return (
    <ChartFrame
      title={`Best version${task}`}
      definitions={[{ term: "Best version", text: data?.definition ?? "" }]}
      fileName="best-version"
      csv={() => [csvRow(["version", "key", "chance_of_best", "rate", "low", "high", "n"]), ...rows.map((row) => csvRow([row.label, row.key, row.chance, row.estimate.value, row.estimate.low, row.estimate.high, row.estimate.n]))].join("\n")}
      isLoading={data === undefined && error === null}
      error={data === undefined ? error : null}
      onRetry={() => void refetch()}
      empty={data !== undefined && rows.length === 0 ? "No version has terminated episodes here" : null}
      note={task === "" ? "All chosen tasks together: a version that worked at easier ones looks better. Choose one task above." : null}
      chart={
        <>
          <p className="mb-3 text-base" role="status">
            {data?.sentence}
          </p>
          <ForestChart
            title={`Best version${task}`}
            names={["Rate"]}
            top={1}
            format={(value) => formatValue(value, "share")}
            rows={rows.slice(0, 20).map((row) => ({ label: `${row.label}${row.chance === null ? "" : `, best ${formatPercent(fraction(row.chance))}`}`, values: [{ ...row.estimate, note: formatN(row.estimate, SHARE) }] }))}
          />
        </>
      }
      table={
        <Table
          caption={`Best version${task}`}
          className="max-h-96"
          columns={[
            { key: "version", label: "Version" },
            { key: "rate", label: "Rate", isNumeric: true },
            { key: "chance", label: "Probability of being best", isNumeric: true },
            { key: "episodes", label: "Episodes" },
          ]}
        >
          {rows.map((row) => (
            <tr key={row.key}>
              <Cell>{row.label}</Cell>
              <Cell isNumeric>{formatEstimate(row.estimate, SHARE)}</Cell>
              <Cell isNumeric>{row.chance === null ? "fewer than 10 episodes" : formatPercent(fraction(row.chance))}</Cell>
              <Cell>
                <Link className="text-link underline" to={episodesUrl(report.filter, range, { version: row.key })} aria-label={`Show the episodes of ${row.label}`}>
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

function ComparePanel({ query, of, report }: { readonly query: string; readonly of: string; readonly report: ReportState }) {
  const versions = useVersionChoices();
  const first = report.parameters.get("first") ?? "";
  const second = report.parameters.get("second") ?? "";
  const isAsked = first !== "" && second !== "" && first !== second;
  const { data, error } = useComparison(isAsked ? `${query}&of=${of}&first=${first}&second=${second}` : null);
  const options = [{ value: "", label: "Choose a version" }, ...versions];
  return (
    <Panel title="Two versions compared">
      <div className="mb-3 flex flex-wrap gap-3">
        <SelectField label="First version" className="w-48" options={options} value={first} onValue={(value) => report.set({ first: value })} />
        <SelectField label="Second version" className="w-48" options={options} value={second} onValue={(value) => report.set({ second: value })} />
      </div>
      {!isAsked ? (
        <Notice icon={Trophy} title={first !== "" && first === second ? "Choose two different versions" : "Choose two versions"}>
          The difference is taken within each task, so that a mix of easier tasks does not look better.
        </Notice>
      ) : data !== undefined ? (
        <Compared title="Two versions compared" comparison={data} />
      ) : error === null ? null : (
        <Notice icon={Trophy} title="They could not be compared">
          {error.message}
        </Notice>
      )}
    </Panel>
  );
}
