/** Retention rules: off until somebody turns one on, which asks once more. */

import { CalendarClock, CircleCheck, CirclePause } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Rule, useChangeRule, useForgetRule, useRules } from "@/features/storage/api/storage";
import { RuleDialog } from "@/features/storage/components/rule-dialog";
import { agoText, keptText, kindLabels } from "@/features/storage/storage-words";
import { changeProblem } from "@/lib/api/errors";
import { formatBytes, formatNoun } from "@/lib/units/format";

const columns = [
  { key: "task", label: "Task" },
  { key: "what", label: "What may go" },
  { key: "kept", label: "Kept" },
  { key: "state", label: "State" },
  { key: "removed", label: "Removed so far", isNumeric: true },
  { key: "do", label: "" },
];
const nameOf = (rule: Rule): string => rule.task_slug ?? "all other tasks";

type Open = { readonly kind: "edit"; readonly rule: Rule | null } | { readonly kind: "on" | "forget"; readonly rule: Rule } | null;

export function RulesPanel({ now }: { readonly now: number }) {
  const { data, error, refetch } = useRules();
  const [open, setOpen] = useState<Open>(null);
  const create = (
    <Button variant="primary" onClick={() => setOpen({ kind: "edit", rule: null })}>
      New rule
    </Button>
  );
  return (
    <Panel title="Retention" actions={data !== undefined && data.length > 0 ? create : null}>
      {data === undefined && error === null ? <Skeleton className="h-32" /> : null}
      {data === undefined && error !== null ? (
        <ReadFailed title="The rules could not be read" error={error} onRetry={() => void refetch()} />
      ) : null}
      {data?.length === 0 ? (
        <Notice icon={CalendarClock} title="Everything is kept" action={create}>
          A rule lets old episodes go at night. Datasets and what people judged or tagged always stay.
        </Notice>
      ) : null}
      {data !== undefined && data.length > 0 ? (
        <Table caption="Retention rules" columns={columns}>
          {data.map((rule) => (
            <Row key={rule.id} rule={rule} now={now} onOpen={setOpen} />
          ))}
        </Table>
      ) : null}
      {open?.kind === "edit" ? <RuleDialog rule={open.rule} onClose={() => setOpen(null)} /> : null}
      {open !== null && open.kind !== "edit" ? <AskDialog kind={open.kind} rule={open.rule} onClose={() => setOpen(null)} /> : null}
    </Panel>
  );
}

interface RowProps {
  readonly rule: Rule;
  readonly now: number;
  readonly onOpen: (open: Open) => void;
}

function Row({ rule, now, onOpen }: RowProps) {
  const change = useChangeRule();
  const name = nameOf(rule);
  const turnOff = () =>
    change.mutate({ rule, is_active: false }, { onError: (error) => notify("failed", `The rule was not changed. ${changeProblem(error, "it")}`) });
  return (
    <tr className="align-baseline hover:bg-raised">
      <Cell className="font-medium">{name}</Cell>
      <Cell className="text-ink-muted">
        {kindLabels(rule.kinds)}
        {rule.takes_interventions ? ", with takeovers" : ""}
      </Cell>
      <Cell className="whitespace-nowrap">{keptText(rule)}</Cell>
      <Cell className="py-1 whitespace-nowrap">
        <Chip icon={rule.is_active ? CircleCheck : CirclePause} tone="neutral">
          {rule.is_active ? "on" : "off"}
        </Chip>
        <span className="ml-2 text-xs text-ink-muted">ran {agoText(rule.last_run_at, now)}</span>
      </Cell>
      <Cell isNumeric>
        {formatNoun(rule.removed, "episode")}, {formatBytes(rule.removed_bytes)}
      </Cell>
      <Cell className="py-0.5 text-right whitespace-nowrap">
        <Button
          variant="quiet"
          aria-label={`Turn the rule for ${name} ${rule.is_active ? "off" : "on"}`}
          onClick={rule.is_active ? turnOff : () => onOpen({ kind: "on", rule })}
        >
          {rule.is_active ? "Turn off" : "Turn on"}
        </Button>
        <Button variant="quiet" aria-label={`Change the rule for ${name}`} onClick={() => onOpen({ kind: "edit", rule })}>
          Change
        </Button>
        <Button variant="quiet" aria-label={`Forget the rule for ${name}`} onClick={() => onOpen({ kind: "forget", rule })}>
          Forget
        </Button>
      </Cell>
    </tr>
  );
}

interface AskDialogProps {
  readonly kind: "on" | "forget";
  readonly rule: Rule;
  readonly onClose: () => void;
}

function AskDialog({ kind, rule, onClose }: AskDialogProps) {
  const change = useChangeRule();
  const forget = useForgetRule();
  const options = { onSuccess: onClose, onError: (error: Error) => notify("failed", `The rule was not changed. ${changeProblem(error, "it")}`) };
  const act = () => (kind === "on" ? change.mutate({ rule, is_active: true }, options) : forget.mutate(rule, options));
  const title = kind === "on" ? `Turn the rule for ${nameOf(rule)} on?` : `Forget the rule for ${nameOf(rule)}?`;
  const text =
    kind === "on"
      ? "From tonight, 03:30 UTC, what its preview shows goes for good, every night. “Change” shows the preview."
      : "Episodes stay from now on. What the rule removed does not come back.";
  return (
    <Dialog title={title} onClose={onClose}>
      <p className="text-sm">{text}</p>
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onClose}>Leave it</Button>
        <Button variant="primary" disabled={change.isPending || forget.isPending} onClick={act}>
          {kind === "on" ? "Turn it on" : "Forget the rule"}
        </Button>
      </div>
    </Dialog>
  );
}
