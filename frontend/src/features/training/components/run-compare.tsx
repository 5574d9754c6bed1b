/** Two to four runs side by side: what each has come to, its curves, and which settings differ. */

import { GitCompareArrows } from "lucide-react";
import { Link } from "react-router";

import { type OverlayLine, OverlayChart } from "@/components/chart/overlay-chart";
import { Card, Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { type ComparedRun, type MeanLoss, type SettingRow, useRunComparison } from "@/features/training/api/run-admin";
import { type Rate, useRuns } from "@/features/training/api/runs";
import { type RunSeries, useRunSeries } from "@/features/training/api/run-series";
import { RunStateChip } from "@/features/training/components/run-state-chip";
import { textOf } from "@/features/training/settings";
import { useUrlText } from "@/hooks/use-url-choice";
import { cn } from "@/lib/class-names";
import { formatCount, formatNumber, formatPercent, formatRate } from "@/lib/units/format";
import { formatInterval } from "@/lib/units/interval";
import { fraction } from "@/lib/units/quantity";

export const MOST = 4;
const NONE: readonly string[] = [];
const LOSS = ["loss"] as const;
const PACE = ["steps_per_s"] as const;

interface RunCompareProps {
  readonly ids: readonly string[];
  readonly onIds: (ids: readonly string[]) => void;
}

export function RunCompare({ ids, onIds }: RunCompareProps) {
  const { data, error, refetch } = useRunComparison(ids);
  return (
    <>
      <Chooser ids={ids} onIds={onIds} />
      {ids.length < 2 ? (
        <Card>
          <TooFew chosen={ids[0]} />
        </Card>
      ) : data !== undefined ? (
        <Compared runs={data.runs} settings={data.settings} />
      ) : error === null ? (
        <Skeleton className="h-96" />
      ) : (
        <Card>
          <ReadFailed title="The runs could not be compared" error={error} onRetry={() => void refetch()} />
        </Card>
      )}
    </>
  );
}

/** One run alone is compared with nothing: says what is missing, or that there is no other run. */
function TooFew({ chosen }: { readonly chosen: string | undefined }) {
  const { data: runs } = useRuns();
  const name = runs?.find(({ id }) => id === chosen)?.name;
  if (name === undefined)
    return (
      <Notice icon={GitCompareArrows} title="Choose two to four runs">
        Their settings, curves and figures are shown side by side.
      </Notice>
    );
  if (runs?.length === 1)
    return (
      <Notice icon={GitCompareArrows} title={`${name} is the only run yet`}>
        <Link to={`/training/new?copy=${chosen ?? ""}`} className="text-link underline underline-offset-2">
          Copy it with other settings
        </Link>{" "}
        to have something to compare it with.
      </Notice>
    );
  return (
    <Notice icon={GitCompareArrows} title={`Choose another run to compare ${name} with`}>
      Above, as “Run 2”. Settings, curves and figures are then shown side by side.
    </Notice>
  );
}

function Chooser({ ids, onIds }: RunCompareProps) {
  const { data: runs } = useRuns();
  const options = (runs ?? []).map(({ id, name }) => ({ value: id, label: name }));
  const places = Math.min(MOST, Math.max(2, ids.length + 1));
  return (
    <div className="mb-4 flex flex-wrap gap-3">
      {Array.from({ length: places }, (_, place) => (
        <SelectField
          key={place}
          label={`Run ${place + 1}`}
          className="w-56"
          value={ids[place] ?? ""}
          options={[{ value: "", label: place < 2 ? "Choose a run" : "None" }, ...options.filter(({ value }) => value === ids[place] || !ids.includes(value))]}
          onValue={(value) => onIds([...ids.slice(0, place), value, ...ids.slice(place + 1)].filter((id) => id !== ""))}
        />
      ))}
    </div>
  );
}

function Compared({ runs, settings }: { readonly runs: readonly ComparedRun[]; readonly settings: readonly SettingRow[] }) {
  return (
    <div className="grid gap-4">
      <Figures runs={runs} />
      <Curves runs={runs} />
      <SettingsPanel runs={runs} settings={settings} />
    </div>
  );
}

function Figures({ runs }: { readonly runs: readonly ComparedRun[] }) {
  const rows: readonly (readonly [string, (run: ComparedRun) => string])[] = [
    ["Autonomous success, 95 % interval, n", ({ autonomous }) => rateText(autonomous)],
    ["With intervention, 95 % interval, n", ({ interventions }) => rateText(interventions)],
    ["Loss, mean of the newest reports, 95 % interval, n", ({ loss }) => lossText(loss)],
    ["Gradient steps", ({ step }) => formatCount(step)],
    ["Pace over the last rounds", ({ steps_per_s }) => formatRate(steps_per_s, "steps/s")],
    ["Versions", ({ versions }) => formatCount(versions)],
    ["Episodes taken in", ({ ingested }) => formatCount(ingested)],
  ];
  return (
    <Panel title="Figures">
      <Table caption="Figures of the runs" columns={[{ key: "figure", label: "Figure" }, ...runs.map(({ id, name }) => ({ key: id, label: name, isNumeric: true }))]}>
        <tr>
          <Cell>State</Cell>
          {runs.map((run) => (
            <Cell key={run.id} isNumeric>
              <RunStateChip state={run.state} />{" "}
              <Link to={`/training/${run.id}`} className="text-link underline underline-offset-2">
                {run.name}
              </Link>
            </Cell>
          ))}
        </tr>
        {rows.map(([label, say]) => (
          <tr key={label}>
            <Cell>{label}</Cell>
            {runs.map((run) => (
              <Cell key={run.id} isNumeric className="whitespace-nowrap">
                {say(run)}
              </Cell>
            ))}
          </tr>
        ))}
      </Table>
      <p className="mt-2 max-w-prose text-xs text-ink-muted">
        Success and interventions count all episodes that the run&apos;s versions drove, whatever their tasks: runs with easier tasks look better. Losses of
        different algorithms or data are not on one scale.
      </p>
    </Panel>
  );
}

/** Always four questions, since hooks may not be asked in turns; an empty id asks nothing. */
function useSeries(runs: readonly ComparedRun[], names: readonly string[]): readonly (RunSeries | undefined)[] {
  const asked = (place: number) => (runs[place] === undefined ? NONE : names);
  const [one, two, three, four] = [0, 1, 2, 3].map((place) => runs[place]?.id ?? "") as [string, string, string, string];
  return [
    useRunSeries(one, asked(0), null).data,
    useRunSeries(two, asked(1), null).data,
    useRunSeries(three, asked(2), null).data,
    useRunSeries(four, asked(3), null).data,
  ];
}

function Curves({ runs }: { readonly runs: readonly ComparedRun[] }) {
  const losses = useSeries(runs, LOSS);
  const paces = useSeries(runs, PACE);
  const percent = (value: number) => formatPercent(fraction(value));
  return (
    <Panel title="Curves">
      <div className="grid gap-6 xl:grid-cols-3">
        <Curve title="Loss" axis="step" lines={runs.map(({ name }, place) => ({ name, points: pointsOf(losses[place]) }))} format={formatNumber} />
        <Curve title="Autonomous success" axis="episode" lines={runs.map(({ name, success }) => ({ name, points: successPoints(success) }))} format={percent} top={1} />
        <Curve title="Pace, steps a second" axis="step" lines={runs.map(({ name }, place) => ({ name, points: pointsOf(paces[place]) }))} format={formatNumber} />
      </div>
    </Panel>
  );
}

function Curve(props: { readonly title: string; readonly axis: string; readonly lines: readonly OverlayLine[]; readonly format: (value: number) => string; readonly top?: number }) {
  const isEmpty = props.lines.every(({ points }) => points.length === 0);
  return (
    <figure className="min-w-0">
      <figcaption className="mb-1 text-sm font-medium">{props.title}</figcaption>
      {isEmpty ? <p className="text-sm text-ink-muted">Nothing measured yet.</p> : <OverlayChart {...props} />}
    </figure>
  );
}

export function pointsOf(series: RunSeries | undefined): OverlayLine["points"] {
  const mean = series?.series[0]?.mean ?? [];
  return (series?.step ?? []).flatMap((x, index) => {
    const value = mean[index];
    return value === null || value === undefined ? [] : [{ x, value, low: null, high: null }];
  });
}

/** Parts of equally many episodes, each drawn at its last one. */
export function successPoints(parts: readonly Rate[]): OverlayLine["points"] {
  let x = 0;
  return parts.map(({ n, rate, low, high }) => ({ x: (x += n), value: rate, low, high }));
}

function SettingsPanel({ runs, settings }: { readonly runs: readonly ComparedRun[]; readonly settings: readonly SettingRow[] }) {
  const [shown, setShown] = useUrlText("settings", "differing");
  const isAll = shown === "all";
  const rows = settings.filter(({ differs }) => isAll || differs);
  return (
    <Panel
      title="Settings"
      actions={
        <SelectField
          label="Which settings"
          isLabelHidden
          className="w-44"
          value={isAll ? "all" : "differing"}
          options={[
            { value: "differing", label: "Those that differ" },
            { value: "all", label: "All settings" },
          ]}
          onValue={setShown}
        />
      }
    >
      {rows.length === 0 ? (
        <p className="text-sm text-ink-muted">Every setting is the same.</p>
      ) : (
        <Table
          caption="Settings of the runs"
          columns={[{ key: "setting", label: "Setting" }, ...runs.map(({ id, name }) => ({ key: id, label: name, isNumeric: true })), { key: "differs", label: "Differs" }]}
        >
          {rows.map((row) => (
            <tr key={row.path} className={cn(row.differs && "bg-caution-tint")}>
              <Cell title={row.path}>{`${row.group}: ${row.label}`}</Cell>
              {row.values.map((value, place) => (
                <Cell key={runs[place]?.id} isNumeric>
                  {settingText(value, row.unit)}
                </Cell>
              ))}
              <Cell>{row.differs ? "yes" : ""}</Cell>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

function settingText(value: SettingRow["values"][number], unit: string): string {
  if (value === null) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" && unit !== "" ? `${textOf(value)}\u00a0${unit}` : textOf(value);
}

function rateText(rate: Rate | null): string {
  if (rate === null) return "no episodes yet";
  return `${formatPercent(fraction(rate.rate))} (${formatInterval({ low: fraction(rate.low), high: fraction(rate.high) })}), n = ${formatCount(rate.n)}`;
}

function lossText(loss: MeanLoss | null): string {
  if (loss === null) return "none yet";
  const ends = loss.low === null || loss.high === null ? "" : ` (${formatNumber(loss.low)}–${formatNumber(loss.high)})`;
  return `${formatNumber(loss.mean)}${ends}, n = ${formatCount(loss.n)}`;
}
