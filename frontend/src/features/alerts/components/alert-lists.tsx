/** Open alerts, the worst first, then what is over. */

import { BellOff, CircleCheck, History } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Dialog } from "@/components/ui/dialog";
import { TextAreaField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { agoText, severities, subjectLink } from "@/features/alerts/alert-words";
import { type Alert, type Severity, useAcknowledge, useOpenAlerts, usePastAlerts } from "@/features/alerts/api/alerts";
import { useServerNow } from "@/hooks/use-now";
import { formatDay, formatNoun } from "@/lib/units/format";

const order: readonly Severity[] = ["critical", "warning", "info"];
/** Nobody's first, then the worst, then the newest, in which order the server sends them. */
const worstFirst = (alerts: readonly Alert[]): readonly Alert[] =>
  alerts.toSorted(
    (a, b) =>
      Number(a.acknowledged_at !== null) - Number(b.acknowledged_at !== null) || order.indexOf(a.severity) - order.indexOf(b.severity),
  );

const openColumns = [
  { key: "severity", label: "Severity" },
  { key: "what", label: "What" },
  { key: "where", label: "Where" },
  { key: "since", label: "Since" },
  { key: "who", label: "Looked after by" },
  { key: "do", label: "" },
];

interface OpenAlertListProps {
  readonly mayAcknowledge: boolean;
  /** What the page knows besides its rules: no open alert is not yet a fleet that needs nobody. */
  readonly besides: ReactNode;
}

export function OpenAlertList({ mayAcknowledge, besides }: OpenAlertListProps) {
  const { data, error, refetch } = useOpenAlerts();
  const [taken, setTaken] = useState<Alert | null>(null);
  const now = useServerNow();
  return (
    <Panel title={data === undefined ? "Open alerts" : formatNoun(data.total, "open alert")}>
      {data === undefined && error === null ? <Skeleton className="h-32" /> : null}
      {data === undefined && error !== null ? (
        <ReadFailed title="Alerts could not be read" error={error} onRetry={() => void refetch()} />
      ) : null}
      {data?.total === 0 ? (
        <Notice icon={CircleCheck} title="No alert is open">
          No rule finds anything now. What was found before is in the history.
        </Notice>
      ) : null}
      {besides}
      {data !== undefined && data.total > 0 ? (
        <Table caption="Open alerts" columns={openColumns}>
          {worstFirst(data.results).map((alert) => (
            <OpenRow key={alert.id} alert={alert} now={now} onTake={mayAcknowledge ? () => setTaken(alert) : null} />
          ))}
        </Table>
      ) : null}
      {taken === null ? null : <TakeDialog alert={taken} onClose={() => setTaken(null)} />}
    </Panel>
  );
}

interface OpenRowProps {
  readonly alert: Alert;
  readonly now: number;
  readonly onTake: (() => void) | null;
}

function OpenRow({ alert, now, onTake }: OpenRowProps) {
  const { tone, icon, label } = severities[alert.severity];
  return (
    <tr className="align-baseline hover:bg-raised">
      <Cell>
        <Chip icon={icon} tone={tone}>
          {label}
        </Chip>
      </Cell>
      <Cell>
        <span className="font-medium">{alert.rule_name}</span>
        <p className="text-ink-muted">{alert.text}</p>
        {alert.told_at === null ? (
          <p className="flex items-center gap-1.5 text-xs text-ink-muted">
            <BellOff aria-hidden className="size-3.5" /> silent now, nobody was told
          </p>
        ) : null}
      </Cell>
      <Cell>
        <SubjectLink alert={alert} />
      </Cell>
      <Cell className="whitespace-nowrap">{agoText(alert.opened_at, now)}</Cell>
      <Cell>
        {alert.acknowledged_at === null ? <span className="text-ink-muted">nobody yet</span> : alert.acknowledged_by_name}
        {alert.note === "" ? null : <p className="text-xs whitespace-pre-line text-ink-muted">{alert.note}</p>}
      </Cell>
      <Cell className="py-0.5 text-right">
        {onTake === null ? null : (
          <Button
            variant="quiet"
            aria-label={`${alert.acknowledged_at === null ? "Acknowledge" : "Change the note of"} ${alert.rule_name}, ${alert.subject_name}`}
            onClick={onTake}
          >
            {alert.acknowledged_at === null ? "Acknowledge" : "Note"}
          </Button>
        )}
      </Cell>
    </tr>
  );
}

function SubjectLink({ alert }: { readonly alert: Alert }) {
  return (
    <Link className="text-link underline" to={subjectLink(alert)}>
      {alert.subject_name}
    </Link>
  );
}

function TakeDialog({ alert, onClose }: { readonly alert: Alert; readonly onClose: () => void }) {
  const acknowledge = useAcknowledge();
  const [note, setNote] = useState(alert.note);
  const act = () =>
    acknowledge.mutate(
      { id: alert.id, note },
      { onSuccess: onClose, onError: (error) => notify("failed", `The alert was not acknowledged. ${error.message}`) },
    );
  return (
    <Dialog title={`${alert.rule_name}, ${alert.subject_name}`} onClose={onClose}>
      <p className="mb-3 text-sm">{alert.text}</p>
      <TextAreaField
        label="Note (what you do about it)"
        data-autofocus
        maxLength={1000}
        rows={3}
        value={note}
        onChange={(event) => setNote(event.target.value)}
      />
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onClose}>Leave it</Button>
        <Button variant="primary" disabled={acknowledge.isPending} onClick={act}>
          {alert.acknowledged_at === null ? "I look after it" : "Save the note"}
        </Button>
      </div>
    </Dialog>
  );
}

const pastColumns = [
  { key: "severity", label: "Severity" },
  { key: "what", label: "What" },
  { key: "where", label: "Where" },
  { key: "opened", label: "Opened" },
  { key: "resolved", label: "Resolved" },
  { key: "who", label: "Looked after by" },
];

export function PastAlertList() {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = usePastAlerts();
  return (
    <Panel title="History">
      {data === undefined && error === null ? <Skeleton className="h-32" /> : null}
      {data === undefined && error !== null ? (
        <ReadFailed title="The history could not be read" error={error} onRetry={() => void refetch()} />
      ) : null}
      {data?.length === 0 ? <Notice icon={History} title="No alert has resolved yet" /> : null}
      {data !== undefined && data.length > 0 ? (
        <Table caption="Resolved alerts" columns={pastColumns}>
          {data.map((alert) => (
            <PastRow key={alert.id} alert={alert} />
          ))}
        </Table>
      ) : null}
      {hasNextPage ? (
        <Button className="mt-3" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          Show older ones
        </Button>
      ) : null}
    </Panel>
  );
}

function PastRow({ alert }: { readonly alert: Alert }) {
  const { icon, label } = severities[alert.severity];
  return (
    <tr className="align-baseline hover:bg-raised">
      <Cell>
        <Chip icon={icon} tone="neutral">
          {label}
        </Chip>
      </Cell>
      <Cell>
        <span className="font-medium">{alert.rule_name}</span>
        <p className="text-ink-muted">{alert.text}</p>
        <p className="text-ink-muted">{alert.resolved_text}</p>
      </Cell>
      <Cell>
        <SubjectLink alert={alert} />
      </Cell>
      <Cell className="numeric whitespace-nowrap">{formatDay(Date.parse(alert.opened_at))}</Cell>
      <Cell className="numeric whitespace-nowrap">{alert.resolved_at === null ? "" : formatDay(Date.parse(alert.resolved_at))}</Cell>
      <Cell>
        {alert.acknowledged_by_name}
        {alert.note === "" ? null : <p className="text-xs whitespace-pre-line text-ink-muted">{alert.note}</p>}
      </Cell>
    </tr>
  );
}
