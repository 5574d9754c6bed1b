/** How waiting and service went, each number with its n, and what each operator did. */

import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Figure } from "@/components/ui/figure";
import { Cell, Table } from "@/components/ui/table";
import { type HelpFigures, type Spread, useHelpFigures } from "@/features/help/api/help";
import { useUrlChoice } from "@/hooks/use-url-choice";
import { formatCount, formatDuration } from "@/lib/units/format";
import { seconds } from "@/lib/units/quantity";

const windows = [
  { value: "3600", label: "Last hour" },
  { value: "28800", label: "Last 8 h" },
  { value: "86400", label: "Last 24 h" },
] as const;

const columns = [
  { key: "operator", label: "Operator" },
  { key: "takeovers", label: "Takeovers", isNumeric: true },
  { key: "switches", label: "Switches", isNumeric: true },
  { key: "dwell", label: "Dwell, median", isNumeric: true },
];

export function QueueFigures() {
  const [window, setWindow] = useUrlChoice("window", ["3600", "28800", "86400"], "3600");
  const { data, error } = useHelpFigures(Number(window));
  const choose = (value: string) => setWindow(windows.find((option) => option.value === value)?.value ?? "3600");
  return (
    <Panel
      title="Waiting and service"
      actions={<SelectField label="Window" isLabelHidden className="w-28" options={windows} value={window} onValue={choose} />}
    >
      {data === undefined ? (
        <p className="h-40 text-sm text-ink-muted">{error === null ? "Reading" : `Not read. ${error.message}`}</p>
      ) : (
        <Figures figures={data} />
      )}
    </Panel>
  );
}

function Figures({ figures }: { readonly figures: HelpFigures }) {
  const ended = figures.answered + figures.unanswered;
  return (
    <>
      <dl className="grid grid-cols-2 gap-x-4 gap-y-2.5">
        <SpreadFigure label="Waited for a person" spread={figures.waiting} />
        <SpreadFigure label="Service" spread={figures.service} />
        <Figure label="Answered" note={`of ${formatCount(ended)}`}>
          {formatCount(figures.answered)}
        </Figure>
        <Figure label="Stood still, waiting">{formatDuration(seconds(figures.blocked_s))}</Figure>
      </dl>
      {figures.operators.length > 0 ? (
        <Table caption="Operators" columns={columns} className="mt-3">
          {figures.operators.map((operator) => (
            <tr key={operator.operator}>
              <Cell className="max-w-32 truncate">{operator.operator}</Cell>
              <Cell isNumeric>{formatCount(operator.takeovers)}</Cell>
              <Cell isNumeric>{formatCount(operator.switches)}</Cell>
              <Cell isNumeric>{durationText(operator.dwell.p50_s)}</Cell>
            </tr>
          ))}
        </Table>
      ) : null}
      <p className="mt-2 text-xs text-ink-muted">
        Waited: from asking until a person took the robot. Service: from then until it was given back. A switch is a takeover of
        another robot than the operator&apos;s last. Dwell: from taking a robot to giving it up.
      </p>
    </>
  );
}

const durationText = (value: number | null): string => (value === null ? "–" : formatDuration(seconds(value)));

const SpreadFigure = ({ label, spread }: { readonly label: string; readonly spread: Spread }) => (
  <Figure label={label} note={spread.n > 0 ? `median; p90 ${durationText(spread.p90_s)}, n = ${formatCount(spread.n)}` : "n = 0"}>
    {durationText(spread.p50_s)}
  </Figure>
);
