/**
 * Which chart shows which of a run's numbers, in words for people who run robots. Pure.
 *
 * Names are the learner's, flat: "loss/box-close/online". What is not known here is drawn all the same, under "Other
 * figures" and its own name, so a new figure of the learner needs no change of the console.
 */

import { formatBytes, formatCount, formatNumber, formatPercent, formatRate } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

export interface LineSpec {
  readonly name: string;
  readonly label: string;
  /** Token --series-N. */
  readonly tone: 1 | 2 | 3 | 4 | 5 | 6;
  readonly dash?: "dashed" | "dotted";
  readonly isFilled?: boolean;
}

export interface ChartSpec {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly lines: readonly LineSpec[];
  readonly format: (value: number) => string;
  /** The axis's numbers, if other than plain ones: what is shown in a unit of its own. */
  readonly formatTick?: (value: number) => string;
  /** The axis: all of 0 to 100 %, from zero up, or around the data. */
  readonly range: "share" | "zero" | "data";
}

export const ONLINE = "Fleet";
export const OFFLINE = "Demonstrations";
export const SAMPLES_PER_INSERT = "data/samples_per_insert";

/** Said by the marks of every chart and by the head of the page. */
const SAID_ELSEWHERE: ReadonlySet<string> = new Set(["versions/published", "versions/step", "versions/age_s"]);

const percent = (value: number) => formatPercent(fraction(value));
const perSecond = (value: number) => formatRate(value, "steps/s");

const bySource = (kind: string, task: string): readonly LineSpec[] => [
  { name: `${kind}/${task}/online`, label: ONLINE, tone: 1 },
  { name: `${kind}/${task}/offline`, label: OFFLINE, tone: 2, dash: "dashed" },
];

export const learnerCharts: readonly ChartSpec[] = [
  {
    id: "loss",
    title: "Loss",
    note: "Mean over all rows of a step. Falls while the policy learns; new experience may lift it.",
    lines: [{ name: "loss", label: "All tasks", tone: 1 }],
    format: formatNumber,
    range: "data",
  },
  {
    id: "gradient",
    title: "Gradient norm",
    note: "Before clipping. Even is healthy; a jump says that a batch surprised the policy.",
    lines: [{ name: "gradient_norm", label: "Norm", tone: 1 }],
    format: formatNumber,
    range: "zero",
  },
  {
    id: "pace",
    title: "Pace",
    note: "Gradient steps a second while the learner trains.",
    lines: [{ name: "steps_per_s", label: "Pace", tone: 1 }],
    format: perSecond,
    range: "zero",
  },
  {
    id: "wait",
    title: "Waiting for data",
    note: "Share of the learner's time spent getting batches. Under 5 % it is kept busy.",
    lines: [{ name: "data_wait", label: "Waiting", tone: 1, isFilled: true }],
    format: percent,
    range: "share",
  },
];

/** What limits or ages the learning: shown before what the console has no words for. */
export const flowCharts: readonly ChartSpec[] = [
  {
    id: "insert",
    title: "Samples per insert",
    note: "How often a new frame of the fleet has been drawn on average. Many: more robots would help.",
    lines: [{ name: SAMPLES_PER_INSERT, label: "Samples", tone: 1 }],
    format: formatNumber,
    range: "zero",
  },
  {
    id: "behind",
    title: "Newest version is behind by",
    note: "Gradient steps between the weights being trained and what the robots get.",
    lines: [{ name: "versions/steps_behind", label: "Steps", tone: 1 }],
    format: formatCount,
    range: "zero",
  },
];

export function taskCharts(task: string): readonly ChartSpec[] {
  return [
    {
      id: `share/${task}`,
      title: "Where its training comes from",
      note: "Filled: the fleet's own work. Above it: demonstrations.",
      lines: [
        { name: `share/${task}/clipped`, label: ONLINE, tone: 1, isFilled: true },
        { name: `share/${task}/raw`, label: "Rule", tone: 4, dash: "dotted" },
        { name: `share/${task}/cap`, label: "Cap", tone: 5, dash: "dashed" },
      ],
      format: percent,
      range: "share",
    },
    {
      id: `window/${task}`,
      title: "Errors that the rule compares",
      note: "Mean loss of the sampler's window, by source.",
      lines: bySource("window", task),
      format: formatNumber,
      range: "data",
    },
    {
      id: `loss/${task}`,
      title: "Loss",
      note: "As reported, by source.",
      lines: bySource("loss", task),
      format: formatNumber,
      range: "data",
    },
    {
      id: `frames/${task}`,
      title: "Frames to learn from",
      note: "In the buffers, those that carry loss.",
      lines: bySource("frames", task),
      format: formatCount,
      range: "zero",
    },
  ];
}

const TASK_NAME = /^(?:loss|share|window|frames)\/([^/]+)\/(?:online|offline|raw|clipped|cap)$/;

/** The tasks that any name speaks of, sorted. */
export function tasksOf(names: readonly string[]): readonly string[] {
  return [...new Set(names.flatMap((name) => TASK_NAME.exec(name)?.[1] ?? []))].sort();
}

/** What to ask for: all of `tasks`, nothing of other tasks, and of the rest as much as `most` names leave room for. */
export function wantedNames(names: readonly string[], tasks: readonly string[], most: number): readonly string[] {
  const taskOf = (name: string) => TASK_NAME.exec(name)?.[1];
  const ofTasks = names.filter((name) => tasks.includes(taskOf(name) ?? ""));
  const rest = names.filter((name) => taskOf(name) === undefined && !SAID_ELSEWHERE.has(name));
  return [...rest.slice(0, Math.max(0, most - ofTasks.length)), ...ofTasks];
}

const RECAP = "recap/";

/** RECAP's charts; none if the run reports nothing of it. */
export function recapCharts(names: readonly string[]): readonly ChartSpec[] {
  const perTask = (kind: string) => oneLineEach(names.filter((name) => name.startsWith(`${RECAP}${kind}/`)));
  const charts: readonly ChartSpec[] = [
    {
      id: "recap/value",
      title: "Is the value function of use?",
      note: "Error on episodes it was not fitted to, against what the best constant would err. Of use well below it.",
      lines: [
        { name: "recap/value/error", label: "Error", tone: 1 },
        { name: "recap/value/spread", label: "Best constant", tone: 5, dash: "dashed" },
      ],
      format: formatNumber,
      range: "zero",
    },
    {
      id: "recap/bias",
      title: "Bias of the value",
      note: "Above zero it promises too much, below too little.",
      lines: [{ name: "recap/value/bias", label: "Bias", tone: 1 }],
      format: formatNumber,
      range: "data",
    },
    {
      id: "recap/positive",
      title: "Steps counted as good",
      note: "Share of the fleet's steps whose advantage lies above the task's threshold.",
      lines: perTask("positive"),
      format: percent,
      range: "share",
    },
    {
      id: "recap/threshold",
      title: "Advantage threshold",
      note: "A step must do this much better than expected to count as good.",
      lines: perTask("threshold"),
      format: formatNumber,
      range: "data",
    },
  ];
  return present(charts, names);
}

/** Charts of which any line is among `names`. */
export const present = (charts: readonly ChartSpec[], names: readonly string[]): readonly ChartSpec[] =>
  charts.filter(({ lines }) => lines.some(({ name }) => names.includes(name)));

const MOST_LINES = 6;

/** A chart for every name that none of `charts` shows, names with the same beginning together. */
export function otherCharts(names: readonly string[], charts: readonly ChartSpec[]): readonly ChartSpec[] {
  const shown = new Set(charts.flatMap(({ lines }) => lines.map(({ name }) => name)));
  const groups = new Map<string, string[]>();
  for (const name of names) {
    if (shown.has(name) || SAID_ELSEWHERE.has(name) || TASK_NAME.test(name)) continue;
    const group = name.includes("/") && !isBytes(name) ? name.slice(0, name.lastIndexOf("/")) : name;
    groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  return [...groups].flatMap(([group, members]) =>
    chunks(members, MOST_LINES).map((part, index) => ({
      id: `other/${group}/${index}`,
      title: sentence(group),
      note: part.length > 1 ? "" : `As the learner reports it: ${part[0] ?? ""}`,
      lines: oneLineEach(part),
      format: isBytes(group) ? formatBytes : formatReported,
      ...(isBytes(group) ? { formatTick: formatBytes } : {}),
      range: "data" as const,
    })),
  );
}

/** Beside counts they would press every other line to the ground. */
const isBytes = (name: string): boolean => name.endsWith("bytes");
/** Most are counts, some are not: "33", "0.734". */
const formatReported = (value: number): string => (Number.isInteger(value) ? formatCount(value) : formatNumber(value));

const TONES = [1, 2, 3, 4, 6, 5] as const;
const DASHES = [undefined, "dashed", "dotted"] as const;

function oneLineEach(names: readonly string[]): readonly LineSpec[] {
  return names.slice(0, MOST_LINES).map((name, index) => {
    const dash = DASHES[index % DASHES.length];
    return { name, label: words(name.slice(name.lastIndexOf("/") + 1)), tone: TONES[index % TONES.length] ?? 1, ...(dash ? { dash } : {}) };
  });
}

function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, index) => items.slice(index * size, (index + 1) * size));
}

export const words = (name: string): string => name.replaceAll("_", " ");

/** "frames/class" as "Frames, class". */
export function sentence(name: string): string {
  const text = words(name).replaceAll("/", ", ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
