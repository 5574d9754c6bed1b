/** What each part of the system says of itself now, what waits, who works, and how long experience travels. */

import { CircleCheck, TriangleAlert } from "lucide-react";

import { Panel } from "@/components/ui/card";
import { Chip, type Tone } from "@/components/ui/chip";
import { Figure } from "@/components/ui/figure";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { type Status, useStatus } from "@/features/status/api/status";
import {
  ageWord,
  isAlmostFull,
  isReady,
  judgeQueue,
  judgeScheduler,
  partWord,
  queueWord,
  spanText,
  spanWord,
  stateWord,
} from "@/features/status/status-words";
import { formatBytes, formatClock, formatCount, formatPercent, withUnit } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const UNKNOWN = "Not known while Redis does not answer.";

export function StatusPage() {
  const { data, error, refetch } = useStatus();
  if (data === undefined && error === null) return <Skeleton className="h-96" />;
  if (data === undefined) {
    return (
      <Panel title="Status">
        <ReadFailed title="The status could not be read" error={error} onRetry={() => void refetch()} />
      </Panel>
    );
  }
  return (
    <div className="flex flex-col gap-4">
      <Headline status={data} problem={error?.message} />
      <div className="grid grid-cols-1 gap-4 lg:grid-cols-2">
        <Parts status={data} />
        <Queues status={data} />
        <Workers status={data} />
        <Figures status={data} />
      </div>
      <Latencies status={data} />
    </div>
  );
}

/** `problem`: why what is shown could not be read anew. */
function Headline({ status, problem }: { readonly status: Status; readonly problem: string | undefined }) {
  const away = status.parts.filter((part) => !isReady(part));
  return (
    <div className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
      <h1 className="text-xl font-semibold">
        {away.length === 0 ? "Every part is ready" : `Not ready: ${away.map((part) => partWord(part.name)).join(", ")}`}
      </h1>
      <p role="status" className="numeric text-sm text-ink-muted">
        {problem === undefined ? `As of ${formatClock(status.checked_ms)}` : `As of ${formatClock(status.checked_ms)}. Not read since: ${problem}`}
      </p>
    </div>
  );
}

function State({ tone, children }: { readonly tone: Tone; readonly children: string }) {
  return (
    <Chip icon={tone === "neutral" ? CircleCheck : TriangleAlert} tone={tone}>
      {children}
    </Chip>
  );
}

const partColumns = [
  { key: "part", label: "Part" },
  { key: "state", label: "State" },
  { key: "took", label: "Answered in", isNumeric: true },
];

function Parts({ status }: { readonly status: Status }) {
  return (
    <Panel title="Parts">
      <Table caption="Parts of the system" columns={partColumns}>
        {status.parts.map((part) => (
          <tr key={part.name}>
            <Cell>{partWord(part.name)}</Cell>
            <Cell>
              <State tone={isReady(part) ? "neutral" : "fault"}>{stateWord(part.state)}</State>
            </Cell>
            <Cell isNumeric>{isReady(part) ? withUnit(part.took_ms.toFixed(1), "ms") : "–"}</Cell>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

const queueColumns = [
  { key: "queue", label: "Queue" },
  { key: "state", label: "State" },
  { key: "length", label: "Waiting", isNumeric: true },
  { key: "oldest", label: "Oldest waits", isNumeric: true },
];

function Queues({ status }: { readonly status: Status }) {
  const scheduler = judgeScheduler(status.scheduler_silent_s);
  return (
    <Panel title="Queues">
      {status.queues === null ? (
        <p className="text-sm text-ink-muted">{UNKNOWN}</p>
      ) : (
        <Table caption="Queues of tasks" columns={queueColumns}>
          {status.queues.map((queue) => {
            const { tone, word } = judgeQueue(queue);
            return (
              <tr key={queue.name}>
                <Cell>{queueWord(queue.name)}</Cell>
                <Cell>
                  <State tone={tone}>{word}</State>
                </Cell>
                <Cell isNumeric>{formatCount(queue.length)}</Cell>
                <Cell isNumeric>{ageWord(queue.oldest_s, "–")}</Cell>
              </tr>
            );
          })}
          <tr>
            <Cell>Scheduler (beat)</Cell>
            <Cell>
              <State tone={scheduler.tone}>{scheduler.word}</State>
            </Cell>
            <Cell isNumeric>–</Cell>
            <Cell isNumeric>–</Cell>
          </tr>
        </Table>
      )}
    </Panel>
  );
}

const workerColumns = [
  { key: "worker", label: "Worker" },
  { key: "queues", label: "Queues" },
  { key: "seen", label: "Last heard", isNumeric: true },
];

function Workers({ status }: { readonly status: Status }) {
  const { workers } = status;
  if (workers === null || workers.length === 0) {
    return (
      <Panel title="Workers">
        <p className="text-sm text-ink-muted">{workers === null ? UNKNOWN : "No worker was heard within a day: start one."}</p>
      </Panel>
    );
  }
  return (
    <Panel title="Workers">
      <Table caption="Workers" columns={workerColumns}>
        {workers.map((worker) => (
          <tr key={worker.name}>
            <Cell className="font-mono text-xs">{worker.name}</Cell>
            <Cell>{worker.queues.join(", ")}</Cell>
            <Cell isNumeric>{`${ageWord(worker.silent_s)} ago`}</Cell>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

function Figures({ status: { learner, store, robots } }: { readonly status: Status }) {
  return (
    <Panel title="Learner, store and robots">
      <dl className="grid grid-cols-2 gap-x-4 gap-y-3 sm:grid-cols-3">
        <Figure label="Runs under way">{formatCount(learner.running)}</Figure>
        <Figure label="Failed runs">{formatCount(learner.failed)}</Figure>
        <Figure label="Learner last heard">{learner.silent_s === null ? "–" : `${ageWord(learner.silent_s)} ago`}</Figure>
        <Figure label="Round open for">{ageWord(learner.round_age_s, "–")}</Figure>
        <Figure label="Newest version">{learner.version_age_s === null ? "–" : `${ageWord(learner.version_age_s)} ago`}</Figure>
        <Figure label="Robots online">
          {robots === null ? "–" : `${formatCount(robots.online)} of ${formatCount(robots.online + robots.offline)}`}
        </Figure>
        <Figure label="Store: free">
          {store.free_bytes === null || store.size_bytes === null
            ? "a bucket: no limit here"
            : `${formatBytes(store.free_bytes)} (${formatPercent(fraction(store.free_bytes / store.size_bytes))})`}
        </Figure>
      </dl>
      {isAlmostFull(store) ? <p className="mt-3 text-sm font-medium text-fault">The store is almost full: collect garbage or add room.</p> : null}
    </Panel>
  );
}

const latencyColumns = [
  { key: "span", label: "From … to …" },
  { key: "n", label: "n", isNumeric: true },
  { key: "p50", label: "Median", isNumeric: true },
  { key: "p90", label: "90 %", isNumeric: true },
  { key: "p99", label: "99 %", isNumeric: true },
];

function Latencies({ status }: { readonly status: Status }) {
  return (
    <Panel title="How long experience travels, last hour">
      <Table caption="Latencies of the last hour" columns={latencyColumns}>
        {status.latencies.map((span) => (
          <tr key={span.name}>
            <Cell>{spanWord(span.name)}</Cell>
            <Cell isNumeric>{formatCount(span.n)}</Cell>
            <Cell isNumeric>{spanText(span.p50)}</Cell>
            <Cell isNumeric>{spanText(span.p90)}</Cell>
            <Cell isNumeric>{spanText(span.p99)}</Cell>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}
