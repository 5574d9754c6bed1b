/** The charts of a run: the learner itself, where each task's training comes from, RECAP if it runs, and the rest. */

import { useMemo } from "react";

import { Panel } from "@/components/ui/card";
import {
  type ChartSpec,
  flowCharts,
  learnerCharts,
  otherCharts,
  present,
  recapCharts,
  taskCharts,
} from "@/features/training/chart-specs";
import { MetricChart } from "@/features/training/components/metric-chart";
import type { PlotMark } from "@/components/plot/plot-parts";
import type { Look } from "@/features/training/components/run-controls";
import type { RunFrames } from "@/features/training/run-frames";
import { samplerStory, valueStory } from "@/features/training/run-words";
import { cn } from "@/lib/class-names";

/** What every chart of the page shares. */
export interface Drawn {
  readonly names: readonly string[];
  readonly frames: RunFrames;
  readonly marks: readonly PlotMark[];
  readonly look: Look;
}

const FOUR = "sm:grid-cols-2 xl:grid-cols-4";

export function LearnerPanel({ drawn }: { readonly drawn: Drawn }) {
  const { names } = drawn;
  const charts = useMemo(() => present(learnerCharts, names), [names]);
  return <ChartPanel title="The learner" charts={charts} columns="sm:grid-cols-2" drawn={drawn} />;
}

interface TaskPanelsProps {
  readonly drawn: Drawn;
  readonly tasks: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
}

/** Of each task: where its training comes from, why, and what the buffers hold. */
export function TaskPanels({ drawn, tasks, config }: TaskPanelsProps) {
  const { names, frames } = drawn;
  const perTask = useMemo(() => tasks.map((task) => ({ task, charts: present(taskCharts(task), names) })), [tasks, names]);
  return (
    <>
      {perTask.map(({ task, charts }) => (
        <ChartPanel
          key={task}
          title={task}
          subject={task}
          story={samplerStory(frames, task, config)}
          charts={charts}
          columns={FOUR}
          drawn={drawn}
        />
      ))}
    </>
  );
}

export function OtherPanels({ drawn }: { readonly drawn: Drawn }) {
  const { names, frames } = drawn;
  const recap = useMemo(() => recapCharts(names), [names]);
  const rest = useMemo(() => {
    const flow = present(flowCharts, names);
    return [...flow, ...otherCharts(names, [...learnerCharts, ...flow, ...recap])];
  }, [names, recap]);
  return (
    <>
      {recap.length > 0 ? <ChartPanel title="RECAP" story={valueStory(frames)} charts={recap} columns={FOUR} drawn={drawn} /> : null}
      {rest.length > 0 ? <ChartPanel title="Flow of data and other figures" charts={rest} columns={FOUR} drawn={drawn} /> : null}
    </>
  );
}

interface ChartPanelProps {
  readonly title: string;
  readonly subject?: string;
  readonly story?: string;
  readonly charts: readonly ChartSpec[];
  readonly columns: string;
  readonly drawn: Drawn;
}

function ChartPanel({ title, subject, story, charts, columns, drawn: { frames, marks, look } }: ChartPanelProps) {
  return (
    <Panel title={title}>
      {story === undefined ? null : <p className="mb-2 min-h-5 text-base">{story}</p>}
      <div className={cn("grid gap-x-6 gap-y-4", columns)}>
        {charts.map((spec) => (
          <MetricChart
            key={spec.id}
            spec={spec}
            {...(subject === undefined ? {} : { subject })}
            frames={frames}
            marks={marks}
            axis={look.axis}
            form={look.form}
          />
        ))}
      </div>
    </Panel>
  );
}
