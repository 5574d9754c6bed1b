/** `/episodes/:id/compare/:other`: two episodes of one task, played in step. */

import { MapPinOff, ServerOff } from "lucide-react";
import { useMemo, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type EpisodeDetail, type Steps, useEpisode, useEpisodeSteps } from "@/features/episodes/api/episodes";
import { Cameras } from "@/features/episodes/components/cameras";
import { CompareFacts } from "@/features/episodes/components/compare-facts";
import { ComparePicker } from "@/features/episodes/components/compare-picker";
import { OutcomeChip } from "@/features/episodes/components/outcome-chip";
import { ChartOfSteps } from "@/features/episodes/components/step-charts";
import { Transport } from "@/features/episodes/components/transport";
import { type Alignment, ALIGNMENTS, anchorOf, type Pair, pairCharts, pairOf, segmentsOn, type Side } from "@/features/episodes/episode-pair";
import { usePairPlayer } from "@/features/episodes/hooks/use-pair-player";
import { usePlayerKeys } from "@/features/episodes/hooks/use-player-keys";
import { useKeepFrameInUrl, useUrlFrame } from "@/features/episodes/hooks/use-url-frame";
import { takeoversOf } from "@/features/episodes/takeovers";
import { usePageTitle } from "@/hooks/use-page-title";
import { useUrlChoice } from "@/hooks/use-url-choice";
import { ProblemError } from "@/lib/api/errors";
import { formatDay } from "@/lib/units/format";

const SHOWN = 9;
const NO_NAMES: readonly string[] = [];
const ALIGNMENT_WORDS: Readonly<Record<Alignment, string>> = {
  start: "From the start",
  takeover: "At the first takeover",
  success: "At success",
  end: "At the end",
};

/** `other` empty: choose one first. */
export function ComparePage({ id, other }: { readonly id: string; readonly other: string }) {
  const one = useEpisode(id);
  usePageTitle(one.data === undefined ? "Compare episodes" : `${one.data.task}, compare`);
  if (one.data === undefined) return <Missing error={one.error} again={() => void one.refetch()} />;
  return (
    <>
      <p className="text-sm">
        <Link to={`/episodes/${id}`} className="text-link underline underline-offset-2">
          {`${one.data.task}, ${one.data.robot_name ?? "no robot"}`}
        </Link>
      </p>
      {other === "" ? <Choosing episode={one.data} /> : <WithOther episode={one.data} other={other} />}
    </>
  );
}

function Missing({ error, again }: { readonly error: Error | null; readonly again: () => void }) {
  if (error === null) return <Skeleton className="h-[70dvh]" />;
  const isMissing = error instanceof ProblemError && error.problem.status === 404;
  return (
    <div className="grid min-h-[60dvh] place-items-center text-center">
      <h1 className="sr-only">Compare episodes</h1>
      {isMissing ? (
        <Notice icon={MapPinOff} title="There is no such episode">
          <Link to="/episodes" className="text-link underline underline-offset-2">
            See all episodes
          </Link>
        </Notice>
      ) : (
        <ReadFailed title="The episode could not be read" error={error} onRetry={again} />
      )}
    </div>
  );
}

function Choosing({ episode }: { readonly episode: EpisodeDetail }) {
  return (
    <>
      <h1 className="mb-3 text-xl font-semibold">Compare with which episode?</h1>
      <Card className="p-3">
        <ComparePicker episode={episode} />
      </Card>
    </>
  );
}

function WithOther({ episode, other }: { readonly episode: EpisodeDetail; readonly other: string }) {
  const { data, error, refetch } = useEpisode(other);
  if (data === undefined) return <Missing error={error} again={() => void refetch()} />;
  if (data.task !== episode.task) {
    return (
      <>
        <h1 className="mb-3 text-xl font-semibold">Two tasks</h1>
        <Notice icon={MapPinOff} title={`One is ${episode.task}, the other ${data.task}`}>
          Only episodes of one task are compared.
        </Notice>
      </>
    );
  }
  return <Compared a={episode} b={data} />;
}

function Compared({ a, b }: { readonly a: EpisodeDetail; readonly b: EpisodeDetail }) {
  const steps = { a: useEpisodeSteps(a.id), b: useEpisodeSteps(b.id) };
  const [stepsA, stepsB] = [steps.a.data, steps.b.data];
  const [isPicking, setPicking] = useState(false);
  const [asked, setAlign] = useUrlChoice("align", ALIGNMENTS, "start");
  const anchors = (align: Alignment) => ({ a: anchorOf(align, a, stepsA), b: anchorOf(align, b, stepsB) });
  const possible = ALIGNMENTS.filter((align) => anchors(align).a !== null && anchors(align).b !== null);
  const align = possible.includes(asked) ? asked : "start";
  const { a: anchorA, b: anchorB } = anchors(align);
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <h1 className="grow text-xl font-semibold">{a.task}: two episodes</h1>
        <SelectField
          label="In step"
          isLabelHidden
          className="w-48"
          options={possible.map((value) => ({ value, label: ALIGNMENT_WORDS[value] }))}
          value={align}
          onValue={(value) => setAlign(ALIGNMENTS.find((each) => each === value) ?? "start")}
        />
        <Button onClick={() => setPicking(!isPicking)} aria-expanded={isPicking}>
          Choose another
        </Button>
      </div>
      {isPicking ? (
        <Card className="mb-4 p-3">
          <ComparePicker episode={a} />
        </Card>
      ) : null}
      <InStep
        a={a}
        b={b}
        anchorA={anchorA ?? 0}
        anchorB={anchorB ?? 0}
        stepsA={stepsA}
        stepsB={stepsB}
        problem={steps.a.error ?? steps.b.error}
      />
    </>
  );
}

interface InStepProps {
  readonly a: EpisodeDetail;
  readonly b: EpisodeDetail;
  /** The frames that are put at one place. */
  readonly anchorA: number;
  readonly anchorB: number;
  readonly stepsA: Steps | undefined;
  readonly stepsB: Steps | undefined;
  readonly problem: Error | null;
}

function InStep({ a, b, anchorA, anchorB, stepsA, stepsB, problem }: InStepProps) {
  const pair = useMemo(() => pairOf(a, b, { a: anchorA, b: anchorB }), [a, b, anchorA, anchorB]);
  const { attach, ...player } = usePairPlayer(pair, useUrlFrame());
  const tracks = useMemo(
    () => [
      { label: "A", segments: segmentsOn(pair.parts.a, a.segments) },
      { label: "B", segments: segmentsOn(pair.parts.b, b.segments) },
    ],
    [pair, a, b],
  );
  const starts = useMemo(
    () => [...new Set(tracks.flatMap(({ segments }) => takeoversOf(segments)))].toSorted((one, two) => one - two),
    [tracks],
  );
  usePlayerKeys(player, starts, pair.length - 1);
  useKeepFrameInUrl(player.frame, player.isPlaying);
  return (
    <div className="grid grid-cols-1 gap-4">
      <Card className="p-4">
        <div className="grid grid-cols-1 gap-4 md:grid-cols-2">
          <Part side="a" episode={a} attach={attach.a} />
          <Part side="b" episode={b} attach={attach.b} />
        </div>
        <Transport player={player} tracks={tracks} starts={starts} steps={pair.length} rateHz={pair.rateHz} />
      </Card>
      <CompareFacts a={a} b={b} successes={{ a: anchorOf("success", a, stepsA), b: anchorOf("success", b, stepsB) }} />
      {stepsA === undefined || stepsB === undefined ? (
        <Panel title="Steps">
          {problem === null ? (
            <Skeleton className="h-48" />
          ) : (
            <Notice icon={ServerOff} title="The steps could not be read">
              {problem.message}
            </Notice>
          )}
        </Panel>
      ) : (
        <PairCharts
          pair={pair}
          stepsA={stepsA}
          stepsB={stepsB}
          names={a.recording?.action_names ?? NO_NAMES}
          frame={player.frame}
          seek={player.seek}
        />
      )}
    </div>
  );
}

interface PairChartsProps {
  readonly pair: Pair;
  readonly stepsA: Steps;
  readonly stepsB: Steps;
  readonly names: readonly string[];
  readonly frame: number;
  readonly seek: (frame: number) => void;
}

function PairCharts({ pair, stepsA, stepsB, names, frame, seek }: PairChartsProps) {
  const [isWhole, setWhole] = useState(false);
  const { grid, charts } = useMemo(() => pairCharts(pair, { a: stepsA, b: stepsB }, names), [pair, stepsA, stepsB, names]);
  return (
    <Panel
      title="Steps"
      actions={charts.length > SHOWN && !isWhole ? <Button onClick={() => setWhole(true)}>{`Show all ${charts.length} charts`}</Button> : null}
    >
      <div className="grid grid-cols-1 gap-4 md:grid-cols-2 xl:grid-cols-3">
        {(isWhole ? charts : charts.slice(0, SHOWN)).map((chart) => (
          <ChartOfSteps key={chart.title} chart={chart} grid={grid} frame={frame} seek={seek} />
        ))}
      </div>
      <p className="mt-2 text-xs text-ink-muted">Actions as they were applied.</p>
    </Panel>
  );
}

interface PartProps {
  readonly side: Side;
  readonly episode: EpisodeDetail;
  readonly attach: Parameters<typeof Cameras>[0]["attach"];
}

function Part({ side, episode, attach }: PartProps) {
  const name = side.toUpperCase();
  return (
    <section aria-label={`Episode ${name}`} className="min-w-0">
      <h2 className="mb-2 flex flex-wrap items-center gap-2 text-sm">
        <span className="text-base font-semibold">{name}</span>
        <Link to={`/episodes/${episode.id}`} className="text-link underline underline-offset-2">
          {`${episode.robot_name ?? "no robot"}, ${formatDay(Date.parse(episode.ended_at))}`}
        </Link>
        <OutcomeChip episode={episode} />
      </h2>
      {episode.recording === null ? (
        <p className="text-sm text-ink-muted">Its recording cannot be read. {episode.recording_problem?.detail}</p>
      ) : (
        <Cameras cameras={episode.recording.cameras} attach={attach} />
      )}
    </section>
  );
}
