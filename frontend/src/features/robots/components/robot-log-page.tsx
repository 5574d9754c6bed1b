/** A robot's newest log lines: warnings and errors as they come, everything on request. */

import { ClipboardCopy, RefreshCw, ScrollText } from "lucide-react";
import { useEffect, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { SelectField, TextField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { RefusalsCard } from "@/features/robots/components/refusals-card";
import { type LogLine, type RobotLog, useAskLog, useRobotLog, useRobotName } from "@/features/robots/api/robot-logs";
import { useUrlChoice } from "@/hooks/use-url-choice";
import { cn } from "@/lib/class-names";
import { formatNoun } from "@/lib/units/format";

const LIMIT = 200;
/** A robot answers within a second; after this it is told as silent. */
const WAIT_MS = 10_000;
const levels = ["all", "warning", "error"] as const;
const shownLevels: Readonly<Record<(typeof levels)[number], readonly string[] | null>> = {
  all: null,
  warning: ["warning", "error", "critical"],
  error: ["error", "critical"],
};
const levelOptions = [
  { value: "all", label: "All levels" },
  { value: "warning", label: "Warnings and errors" },
  { value: "error", label: "Errors" },
];

const stamp = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const timeOf = (line: LogLine) => stamp.format(new Date(line.at_ms));
const asText = (lines: readonly LogLine[]) =>
  lines.map((line) => `${new Date(line.at_ms).toISOString()} ${line.level.toUpperCase()} ${line.logger}: ${line.text}`).join("\n");

/** Ask, and wait for the answer, but not for ever. */
function useQuestion(id: string) {
  const [question, setQuestion] = useState<string | null>(null);
  const ask = useAskLog(id);
  const log = useRobotLog(id, question);
  const isWaiting = question !== null && log.data?.answered !== question;
  useEffect(() => {
    if (!isWaiting) return;
    const timer = setTimeout(() => {
      setQuestion(null);
      notify("failed", "The robot did not answer within 10 s. What is shown is from before.");
    }, WAIT_MS);
    return () => clearTimeout(timer);
  }, [isWaiting]);
  const start = () =>
    ask.mutate(LIMIT, {
      onSuccess: (answer) => setQuestion(answer.question),
      onError: (error) => notify("failed", `The robot was not asked. ${error.message}`),
    });
  return { log, start, isBusy: isWaiting || ask.isPending };
}

export function RobotLogPage({ id, mayRead }: { readonly id: string; readonly mayRead: boolean }) {
  const name = useRobotName(id).data?.name;
  return (
    <>
      <p className="mb-1 text-sm">
        <Link className="text-link underline" to="/settings/robots">
          Robots
        </Link>
      </p>
      <h1 className="mb-3 text-xl font-semibold">{name === undefined ? "Log" : `Log of ${name}`}</h1>
      {mayRead ? (
        <>
          <RefusalsCard id={id} />
          <LogCard id={id} />
        </>
      ) : (
        <Notice icon={ScrollText} title="Managers and admins read robots' logs">
          Ask one of them if you need to know what a robot says.
        </Notice>
      )}
    </>
  );
}

function LogCard({ id }: { readonly id: string }) {
  const { log, start, isBusy } = useQuestion(id);
  const [level, setLevel] = useUrlChoice("level", levels, "all");
  const [search, setSearch] = useState("");
  const { data, error, refetch } = log;
  const wanted = shownLevels[level];
  const words = search.toLowerCase();
  const shown = (data?.lines ?? []).filter(
    (line) => (wanted === null || wanted.includes(line.level)) && `${line.logger} ${line.text}`.toLowerCase().includes(words),
  );
  const copy = () =>
    void navigator.clipboard.writeText(asText(shown)).then(
      () => notify("done", `${formatNoun(shown.length, "line")} copied.`),
      () => notify("failed", "The browser did not allow copying."),
    );
  return (
    <Card className="overflow-hidden">
      <div className="flex flex-wrap items-end gap-3 border-b border-line px-3 py-2">
        <SelectField label="Level" value={level} onValue={(value) => setLevel(levels.find((each) => each === value) ?? "all")} options={levelOptions} />
        <TextField label="Find in the lines" type="search" className="w-56" value={search} onChange={(event) => setSearch(event.target.value)} />
        <div className="grow" />
        <Button disabled={shown.length === 0} onClick={copy}>
          <ClipboardCopy aria-hidden className="size-4" />
          Copy
        </Button>
        <Button variant="primary" disabled={isBusy || data === undefined || !data.is_online || !data.can_send} onClick={start}>
          <RefreshCw aria-hidden className="size-4" />
          {isBusy ? "Asking …" : `Read the last ${LIMIT} lines`}
        </Button>
      </div>
      {data === undefined && error === null ? <Skeleton className="m-3 h-40" /> : null}
      {data === undefined && error !== null ? (
        <ReadFailed title="The log could not be read" error={error} onRetry={() => void refetch()} />
      ) : null}
      {data === undefined ? null : <Standing log={data} />}
      {data === undefined || shown.length > 0 ? null : <Empty log={data} />}
      {shown.length > 0 ? <Lines lines={shown} /> : null}
    </Card>
  );
}

function Standing({ log }: { readonly log: RobotLog }) {
  if (log.is_online && log.can_send) return null;
  const text = log.is_online
    ? "This robot's daemon does not send its log yet: update it."
    : "The robot is offline: what it sent before is shown, and it cannot be asked for more.";
  return (
    <p role="status" className="border-b border-line bg-caution-tint px-3 py-2 text-sm text-caution">
      {text}
    </p>
  );
}

function Empty({ log }: { readonly log: RobotLog }) {
  return log.lines.length > 0 ? (
    <Notice icon={ScrollText} title="No line matches">
      Choose another level, or look for other words.
    </Notice>
  ) : (
    <Notice icon={ScrollText} title="No line is here yet">
      Warnings and errors come by themselves and stay for a week. The rest is read from the robot when you ask.
    </Notice>
  );
}

const columns = [
  { key: "at", label: "Robot's time" },
  { key: "level", label: "Level" },
  { key: "text", label: "Line" },
];

function Lines({ lines }: { readonly lines: readonly LogLine[] }) {
  return (
    <Table caption="Log lines, the newest first" columns={columns} className="max-h-[70dvh]">
      {lines.map((line, at) => (
        <tr key={`${line.at_ms}-${at}`} className="align-baseline hover:bg-raised">
          <Cell className="numeric whitespace-nowrap text-ink-muted">{timeOf(line)}</Cell>
          <Cell className={cn(line.level === "error" || line.level === "critical" ? "text-fault" : line.level === "warning" && "text-caution")}>
            {line.level}
          </Cell>
          <Cell className="font-mono text-xs break-words whitespace-pre-wrap">
            <span className="text-ink-muted">{line.logger}</span> {line.text}
          </Cell>
        </tr>
      ))}
    </Table>
  );
}
