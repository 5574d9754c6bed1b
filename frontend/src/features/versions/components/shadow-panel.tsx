/** Shadows of a version or of a run: what was seen in words, where, how far from what was executed; beginning and ending. */

import { Ban, CircleCheck, CircleSlash, Download, Eye, Hourglass, type LucideIcon } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip, type Tone } from "@/components/ui/chip";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Shadow, useEndShadow, useRunShadows, useVersionShadows } from "@/features/versions/api/shadows";
import { ShadowCharts } from "@/features/versions/components/shadow-charts";
import { ShadowDialog } from "@/features/versions/components/shadow-dialog";
import { formatCount, formatDay } from "@/lib/units/format";

interface ShadowPanelProps {
  readonly version: { readonly id: string; readonly number: number };
}

/** On a version's page: the newest shadow whole, earlier ones in a line each. */
export function ShadowPanel({ version }: ShadowPanelProps) {
  const { data, error, refetch } = useVersionShadows(version.id);
  const [isAsking, setIsAsking] = useState(false);
  const [newest, ...earlier] = data?.shadows ?? [];
  return (
    <>
      <Panel
        title="Shadows"
        className="mt-4"
        actions={
          <Button needs="release_versions" onClick={() => setIsAsking(true)}>
            Shadow it on robots
          </Button>
        }
      >
        {data === undefined ? (
          <Unread error={error} onRetry={() => void refetch()} />
        ) : newest === undefined ? (
          <p className="text-sm text-ink-muted">
            It never ran as a shadow: proposing on live robots beside the version that drives, without being executed.
          </p>
        ) : (
          <NewestShadow shadow={newest} />
        )}
        {earlier.length === 0 ? null : (
          <>
            <h3 className="mt-4 mb-1 text-sm font-medium">Earlier</h3>
            <ul className="grid gap-1.5 text-sm">
              {earlier.map((shadow) => (
                <li key={shadow.id}>
                  <span className="numeric text-ink-muted">{formatDay(Date.parse(shadow.began_at))}</span> {shadow.sentence}
                </li>
              ))}
            </ul>
          </>
        )}
      </Panel>
      {newest === undefined ? null : <ShadowCharts shadow={newest} />}
      {isAsking ? <ShadowDialog version={version} onClose={() => setIsAsking(false)} /> : null}
    </>
  );
}

function Unread({ error, onRetry }: { readonly error: Error | null; readonly onRetry: () => void }) {
  if (error === null) return <Skeleton className="h-20" />;
  return (
    <div role="alert" className="flex flex-wrap items-center gap-3 text-sm">
      <span>The shadows could not be read: {error.message}</span>
      <Button onClick={onRetry}>Try again</Button>
    </div>
  );
}

const robotColumns = [
  { key: "robot", label: "Robot" },
  { key: "state", label: "State" },
  { key: "text", label: "What it says" },
  { key: "episodes", label: "Episodes", isNumeric: true },
];

function NewestShadow({ shadow }: { readonly shadow: Shadow }) {
  const share = shadow.share === 1 ? "at every plan" : `at ${Math.round(shadow.share * 100)} % of the plans`;
  return (
    <>
      <p className="text-sm font-medium">{shadow.sentence}</p>
      <p className="mt-1 text-sm text-ink-muted">
        {shadow.ended_at === null
          ? `Until ${formatDay(Date.parse(shadow.ends_at))} or ${formatCount(shadow.max_episodes)} episodes of each robot, ${share}.`
          : `Ended ${formatDay(Date.parse(shadow.ended_at))}: ${shadow.reason}.`}
        {shadow.tag === "" ? "" : ` On robots tagged “${shadow.tag}”.`}
        {shadow.by_name === "" ? "" : ` Begun by ${shadow.by_name}.`}
        {shadow.is_cut ? " The figures are of its newest 50,000 episodes." : ""}
      </p>
      <Table caption={`Robots that shadow v${shadow.number}`} columns={robotColumns} className="mt-3 max-h-72">
        {shadow.robots.map((row) => (
          <tr key={row.robot}>
            <Cell>{row.robot_name}</Cell>
            <Cell>
              <StateChip state={row.state} />
            </Cell>
            <Cell>{row.text}</Cell>
            <Cell isNumeric>{formatCount(row.episodes)}</Cell>
          </tr>
        ))}
      </Table>
      {shadow.ended_at === null ? <EndButton shadow={shadow} /> : null}
    </>
  );
}

const STATES: Readonly<Record<string, readonly [LucideIcon, Tone, string]>> = {
  starting: [Hourglass, "neutral", "Starting"],
  fetching: [Download, "neutral", "Fetching"],
  running: [Eye, "neutral", "Shadows"],
  ended: [CircleCheck, "neutral", "Ended"],
  refused: [Ban, "fault", "Refused"],
  unsupported: [CircleSlash, "caution", "Cannot"],
  same_version: [CircleSlash, "caution", "Drives with it"],
  retired: [CircleSlash, "neutral", "Retired"],
};

function StateChip({ state }: { readonly state: string }) {
  const [icon, tone, word] = STATES[state] ?? [CircleSlash, "neutral", state];
  return (
    <Chip icon={icon} tone={tone}>
      {word}
    </Chip>
  );
}

function EndButton({ shadow }: { readonly shadow: Shadow }) {
  const end = useEndShadow();
  return (
    <div className="mt-3 flex flex-wrap items-center gap-3">
      <Button needs="release_versions" disabled={end.isPending} onClick={() => end.mutate(shadow.id, { onSuccess: () => notify("done", "The shadow is ended.") })}>
        End the shadow
      </Button>
      {end.error === null ? null : (
        <p role="alert" className="text-sm text-fault">
          {end.error.message}
        </p>
      )}
    </div>
  );
}

/** On a run's page of releases: what is shadowed now, in a line each. Nothing where nothing is. */
export function RunShadows({ run }: { readonly run: string }) {
  const open = useRunShadows(run).data?.shadows.filter(({ ended_at }) => ended_at === null) ?? [];
  if (open.length === 0) return null;
  return (
    <Panel title="Shadowed now" className="mb-4">
      <ul className="grid gap-1.5 text-sm">
        {open.map((shadow) => (
          <li key={shadow.id}>
            <Link to={`/versions/${shadow.version}`} className="numeric text-link underline underline-offset-2">
              v{shadow.number}
            </Link>{" "}
            {shadow.sentence}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
