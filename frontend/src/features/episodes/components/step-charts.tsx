/** What was asked, applied and proposed on every axis, and the reward, at the playhead and over the episode. */

import "uplot/dist/uPlot.min.css";

import { useEffect, useMemo, useRef, useState } from "react";
import type uPlot from "uplot";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type EpisodeDetail, type Steps, useEpisodeSteps } from "@/features/episodes/api/episodes";
import { useDerived } from "@/features/episodes/api/derived";
import { makeStepPlot } from "@/features/episodes/components/step-plot";
import { chartsOf, pointOf, type StepChart, type StepLine } from "@/features/episodes/step-lines";
import { useSeenTheme } from "@/hooks/use-theme";
import { formatNumber } from "@/lib/units/format";

const SHOWN = 9;

interface StepChartsProps {
  readonly episode: EpisodeDetail;
  readonly frame: number;
  readonly seek: (frame: number) => void;
}

export function StepCharts({ episode, frame, seek }: StepChartsProps) {
  const { data: steps, error, refetch } = useEpisodeSteps(episode.id);
  const { data: derived } = useDerived(episode);
  const [isWhole, setWhole] = useState(false);
  const names = episode.recording?.action_names;
  const charts = useMemo(
    () => (steps === undefined ? [] : chartsOf(steps, names ?? [], derived ?? {})),
    [steps, names, derived],
  );
  if (steps === undefined) {
    return (
      <Panel title="Steps">
        {error === null ? (
          <Skeleton className="h-48" />
        ) : (
          <ReadFailed title="The steps could not be read" error={error} onRetry={() => void refetch()} />
        )}
      </Panel>
    );
  }
  const shown = isWhole ? charts : charts.slice(0, SHOWN);
  return (
    <Panel
      title="Steps"
      actions={shown.length < charts.length ? <Button onClick={() => setWhole(true)}>{`Show all ${charts.length} charts`}</Button> : null}
    >
      <div className="grid grid-cols-1 gap-4 md:grid-cols-2 2xl:grid-cols-3">
        {shown.map((chart) => (
          <ChartOfSteps key={chart.title} chart={chart} grid={steps} frame={frame} seek={seek} />
        ))}
      </div>
      {steps.stride === 1 ? null : (
        <p className="mt-2 text-xs text-ink-muted">
          Every {steps.stride}th step is drawn; the reward is the one furthest from zero among them.
        </p>
      )}
    </Panel>
  );
}

interface ChartOfStepsProps {
  readonly chart: StepChart;
  /** The frames that the chart's values belong to. */
  readonly grid: Pick<Steps, "frame" | "stride">;
  readonly frame: number;
  readonly seek: (frame: number) => void;
}

export function ChartOfSteps({ chart, grid, frame, seek }: ChartOfStepsProps) {
  const point = pointOf(grid, frame);
  return (
    <figure aria-label={`${chart.title} over steps`} className="min-w-0">
      <figcaption>
        <h3 className="truncate text-sm font-medium">{chart.title}</h3>
        <dl className="flex min-h-5 flex-wrap gap-x-3 text-xs">
          {chart.lines.map((line) => (
            <Reading key={line.label} line={line} point={point} />
          ))}
        </dl>
      </figcaption>
      <Plot chart={chart} grid={grid} frame={frame} seek={seek} />
    </figure>
  );
}

function Reading({ line: { label, tone, dash, values }, point }: { readonly line: StepLine; readonly point: number }) {
  const value = values[point];
  return (
    <div className="flex items-center gap-1.5">
      <dt className="flex items-center gap-1.5 text-ink-muted">
        <svg aria-hidden viewBox="0 0 16 8" className="h-2 w-4">
          <line x1="0" x2="16" y1="4" y2="4" strokeWidth="2" stroke={`var(--series-${tone})`} strokeDasharray={dash?.join(" ")} />
        </svg>
        {label}
      </dt>
      <dd className="numeric w-14 font-medium">{value === null || value === undefined ? "–" : formatNumber(value)}</dd>
    </div>
  );
}

function Plot({ chart, grid, frame, seek }: ChartOfStepsProps) {
  const ref = useRef<HTMLDivElement>(null);
  const plotRef = useRef<uPlot | null>(null);
  const now = useRef({ frame, seek });
  const theme = useSeenTheme();
  useEffect(() => {
    const container = ref.current;
    if (container === null) return;
    const plot = makeStepPlot({
      container,
      chart,
      frames: grid.frame,
      frame: () => now.current.frame,
      onFrame: (wanted) => now.current.seek(wanted),
    });
    plotRef.current = plot;
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = container;
      if (width > 0) plot.setSize({ width, height });
    });
    observer.observe(container);
    return () => {
      observer.disconnect();
      plot.destroy();
      plotRef.current = null;
    };
  }, [theme, chart, grid]);
  useEffect(() => {
    now.current = { frame, seek };
    plotRef.current?.redraw(false);
  }, [frame, seek]);
  return <div ref={ref} aria-hidden className="h-32 cursor-pointer" />;
}
