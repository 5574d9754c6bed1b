/** One shadow's distance over time and by task, and the episodes behind it. */

import { ServerOff } from "lucide-react";
import { Link } from "react-router";

import { ChartFrame } from "@/components/chart/chart-frame";
import { ForestChart } from "@/components/chart/forest-chart";
import { LineChart } from "@/components/chart/line-chart";
import { Panel } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { Cell, Table } from "@/components/ui/table";
import { Skeleton } from "@/components/ui/skeleton";
import { type Figures, type Mean, type Shadow, type ShadowEpisode, useShadowEpisodes } from "@/features/versions/api/shadows";
import { csvRow } from "@/lib/save-file";
import { browserZone, formatInZone } from "@/lib/time-zone";
import { formatCount, formatDay } from "@/lib/units/format";

export const LINES = [
  { name: "To what the policy did", mean: "policy", n: "policy_n" },
  { name: "To the human, candidate", mean: "human", n: "human_n" },
  { name: "To the human, version that drove", mean: "own", n: "human_n" },
] as const satisfies readonly { readonly name: string; readonly mean: "policy" | "human" | "own"; readonly n: "policy_n" | "human_n" }[];

const DEFINITIONS = [
  {
    term: "Distance",
    text: "Of one proposed chunk: root mean square, over the steps that were executed of it and over the axes, of proposed less executed action. An axis reaches from -1 to 1, so 1 is half its range.",
  },
  { term: "95 % interval", text: "Of the mean over proposals, with episodes as units: proposals of one episode go together." },
  { term: "To the human", text: "Of steps that a person or the scripted supervisor drove: the candidate's and the executing version's, over the same proposals." },
];

export const distanceText = (value: number): string => value.toFixed(3);

/** "0.213, 0.180–0.246, n = 812" */
export function meanText(mean: Mean, n: number): string {
  if (mean.value === null) return "–";
  const ends = mean.low === null || mean.high === null ? "" : `, ${distanceText(mean.low)}–${distanceText(mean.high)}`;
  return `${distanceText(mean.value)}${ends}, n = ${formatCount(n)}`;
}

const columns = [...LINES.map(({ name, mean }) => ({ key: mean, label: name, isNumeric: true })), { key: "episodes", label: "Episodes", isNumeric: true }];
const csvHead = LINES.flatMap(({ mean }) => [mean, `${mean}_low`, `${mean}_high`, `${mean}_n`]);
const csvCells = (figures: Figures) =>
  LINES.flatMap(({ mean, n }) => [figures[mean].value, figures[mean].low, figures[mean].high, figures[n]]);
const asPoint = (figures: Figures, line: (typeof LINES)[number]) => ({ ...figures[line.mean], note: `n = ${formatCount(figures[line.n])}` });
const shownLines = (all: readonly Figures[]) => LINES.filter(({ mean }) => all.some((figures) => figures[mean].value !== null));

function FigureCells({ figures }: { readonly figures: Figures }) {
  return (
    <>
      {LINES.map(({ mean, n }) => (
        <Cell key={mean} isNumeric>
          {meanText(figures[mean], figures[n])}
        </Cell>
      ))}
      <Cell isNumeric>{formatCount(figures.episodes)}</Cell>
    </>
  );
}

export function ShadowCharts({ shadow }: { readonly shadow: Shadow }) {
  return (
    <div className="mt-4 grid grid-cols-1 gap-4 xl:grid-cols-2">
      <OverTime shadow={shadow} />
      <ByTask shadow={shadow} />
      <Episodes id={shadow.id} />
    </div>
  );
}

function OverTime({ shadow }: { readonly shadow: Shadow }) {
  const { points } = shadow;
  const zone = browserZone();
  const starts = points.map(({ began_at }) => Date.parse(began_at));
  const end = Date.parse(points.at(-1)?.until ?? shadow.began_at);
  const edges = [...starts, Math.max(end, (starts.at(-1) ?? 0) + 60_000)];
  const title = "Distance over time";
  const episodesOf = (bucket: number) => {
    const query = new URLSearchParams({ origin: "online", archived: "any" });
    query.set("ended_from", new Date(edges[bucket] ?? 0).toISOString());
    query.set("ended_until", new Date(edges[bucket + 1] ?? 0).toISOString());
    for (const { robot } of shadow.robots) query.append("robot", robot);
    return `/episodes?${query}`;
  };
  return (
    <ChartFrame
      title={title}
      definitions={DEFINITIONS}
      fileName={`shadow-v${shadow.number}-over-time`}
      empty={points.length === 0 ? "No episode with proposals yet" : null}
      csv={() =>
        [
          csvRow(["since", "until", "episodes", "asked", "answered", ...csvHead]),
          ...points.map(({ began_at, until, figures }) =>
            csvRow([began_at, until, figures.episodes, figures.asked, figures.answered, ...csvCells(figures)]),
          ),
        ].join("\n")
      }
      chart={
        <LineChart
          title={title}
          edges={edges}
          zone={zone}
          format={distanceText}
          lines={shownLines(points.map(({ figures }) => figures)).map((line) => ({
            name: line.name,
            points: points.map(({ figures }) => asPoint(figures, line)),
          }))}
          hrefOf={episodesOf}
        />
      }
      table={
        <Table caption={title} className="max-h-96" columns={[{ key: "since", label: "From" }, ...columns]}>
          {points.map(({ began_at, figures }) => (
            <tr key={began_at}>
              <Cell className="whitespace-nowrap">{formatInZone(Date.parse(began_at), zone, "full")}</Cell>
              <FigureCells figures={figures} />
            </tr>
          ))}
        </Table>
      }
    />
  );
}

function ByTask({ shadow }: { readonly shadow: Shadow }) {
  const { tasks } = shadow;
  const lines = shownLines(tasks.map(({ figures }) => figures));
  const title = "Distance by task";
  return (
    <ChartFrame
      title={title}
      definitions={DEFINITIONS}
      fileName={`shadow-v${shadow.number}-by-task`}
      empty={tasks.length === 0 ? "No episode with proposals yet" : null}
      csv={() =>
        [
          csvRow(["task", "episodes", "asked", "answered", ...csvHead]),
          ...tasks.map(({ task, figures }) => csvRow([task, figures.episodes, figures.asked, figures.answered, ...csvCells(figures)])),
        ].join("\n")
      }
      chart={
        <ForestChart
          title={title}
          names={lines.map(({ name }) => name)}
          format={distanceText}
          rows={tasks.map(({ task, figures }) => ({ label: task, values: lines.map((line) => asPoint(figures, line)) }))}
        />
      }
      table={
        <Table caption={title} columns={[{ key: "task", label: "Task" }, ...columns]}>
          {tasks.map(({ task, figures }) => (
            <tr key={task}>
              <Cell>{task}</Cell>
              <FigureCells figures={figures} />
            </tr>
          ))}
        </Table>
      }
    />
  );
}

const episodeColumns = [
  { key: "episode", label: "Episode" },
  { key: "robot", label: "Robot" },
  { key: "task", label: "Task" },
  { key: "drove", label: "Drove" },
  { key: "policy", label: "To the policy", isNumeric: true },
  { key: "human", label: "To the human, candidate and driver", isNumeric: true },
  { key: "answered", label: "Proposals", isNumeric: true },
];

function Episodes({ id }: { readonly id: string }) {
  const { data, error } = useShadowEpisodes(id);
  return (
    <Panel title="Newest episodes" className="min-w-0 xl:col-span-2">
      {data === undefined ? (
        error === null ? (
          <Skeleton className="h-32" />
        ) : (
          <Notice icon={ServerOff} title="The episodes could not be read">
            {error.message}
          </Notice>
        )
      ) : data.results.length === 0 ? (
        <p className="text-sm text-ink-muted">None was delivered yet.</p>
      ) : (
        <Table caption="Episodes of the shadow" className="max-h-96" columns={episodeColumns}>
          {data.results.map((row) => (
            <EpisodeRow key={row.episode} row={row} />
          ))}
        </Table>
      )}
    </Panel>
  );
}

const each = (total: number, n: number) => (n === 0 ? "–" : distanceText(total / n));

function EpisodeRow({ row }: { readonly row: ShadowEpisode }) {
  return (
    <tr>
      <Cell className="numeric whitespace-nowrap">
        <Link to={`/episodes/${row.episode}`} className="text-link underline underline-offset-2">
          {formatDay(Date.parse(row.started_at))}
        </Link>
      </Cell>
      <Cell>{row.robot_name}</Cell>
      <Cell>{row.task}</Cell>
      <Cell className="numeric">{row.driving_number === null ? "–" : `v${row.driving_number}`}</Cell>
      <Cell isNumeric>{each(row.policy_total, row.policy_n)}</Cell>
      <Cell isNumeric>{row.human_n === 0 ? "–" : `${each(row.human_total, row.human_n)} and ${each(row.own_total, row.human_n)}`}</Cell>
      <Cell isNumeric>{`${formatCount(row.answered)} of ${formatCount(row.asked)}`}</Cell>
    </tr>
  );
}
