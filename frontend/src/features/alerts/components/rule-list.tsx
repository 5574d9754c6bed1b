/** The rules by name: on, off, changed, removed. Everybody reads them; managers and admins change them. */

import { BellPlus, CircleCheck, CirclePause } from "lucide-react";
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
import { conditionText, severities, silenceText } from "@/features/alerts/alert-words";
import { type Rule, useChangeRule, useRemoveRule, useRules } from "@/features/alerts/api/rules";
import { RuleDialog } from "@/features/alerts/components/rule-dialog";

const columns = [
  { key: "name", label: "Rule" },
  { key: "severity", label: "Severity" },
  { key: "state", label: "State" },
  { key: "told", label: "Who is told" },
  { key: "silent", label: "Silent" },
  { key: "do", label: "" },
];

type Open = { readonly kind: "edit"; readonly rule: Rule | null } | { readonly kind: "remove"; readonly rule: Rule } | null;

export function RuleList({ mayEdit }: { readonly mayEdit: boolean }) {
  const { data, error, refetch } = useRules();
  const [open, setOpen] = useState<Open>(null);
  const create = mayEdit ? (
    <Button variant="primary" onClick={() => setOpen({ kind: "edit", rule: null })}>
      New rule
    </Button>
  ) : null;
  return (
    <Panel title="Rules" actions={data !== undefined && data.results.length > 0 ? create : null}>
      {data === undefined && error === null ? <Skeleton className="h-32" /> : null}
      {data === undefined && error !== null ? (
        <ReadFailed title="The rules could not be read" error={error} onRetry={() => void refetch()} />
      ) : null}
      {data?.results.length === 0 ? (
        <Notice icon={BellPlus} title="Nothing is watched" action={create}>
          A rule watches a number of the reports, a robot or a training run, and says when something is wrong.
        </Notice>
      ) : null}
      {data !== undefined && data.results.length > 0 ? (
        <Table caption="Alert rules" columns={columns}>
          {data.results.map((rule) => (
            <Row key={rule.id} rule={rule} onOpen={mayEdit ? setOpen : null} />
          ))}
        </Table>
      ) : null}
      {open?.kind === "edit" ? (
        <RuleDialog rule={open.rule} isMailSetUp={data?.is_mail_set_up ?? false} onClose={() => setOpen(null)} />
      ) : null}
      {open?.kind === "remove" ? <RemoveDialog rule={open.rule} onClose={() => setOpen(null)} /> : null}
    </Panel>
  );
}

function Row({ rule, onOpen }: { readonly rule: Rule; readonly onOpen: ((open: Open) => void) | null }) {
  const change = useChangeRule();
  const { tone, icon, label } = severities[rule.severity];
  const turn = () =>
    change.mutate(
      { rule, change: { is_enabled: !rule.is_enabled } },
      { onError: (error) => notify("failed", `The rule was not changed. ${error.message}`) },
    );
  const told = ["the console", ...rule.channels.map((channel) => (channel === "mail" ? rule.mail_to.join(", ") : "webhooks"))];
  return (
    <tr className="align-baseline hover:bg-raised">
      <Cell className="min-w-56">
        <span className="font-medium">{rule.name}</span>
        <p className="text-ink-muted">{conditionText(rule.kind, rule.params)}</p>
      </Cell>
      <Cell>
        <Chip icon={icon} tone={rule.is_enabled ? tone : "neutral"}>
          {label}
        </Chip>
      </Cell>
      <Cell>
        <Chip icon={rule.is_enabled ? CircleCheck : CirclePause} tone="neutral">
          {rule.is_enabled ? "on" : "off"}
        </Chip>
      </Cell>
      <Cell>{told.join(", ")}</Cell>
      <Cell className="text-ink-muted">
        {rule.silences.length === 0 ? "never" : `${rule.silences.map(silenceText).join("; ")} (${rule.time_zone})`}
      </Cell>
      <Cell className="py-0.5 text-right whitespace-nowrap">
        {onOpen === null ? null : (
          <>
            <Button variant="quiet" disabled={change.isPending} aria-label={`Turn ${rule.is_enabled ? "off" : "on"} ${rule.name}`} onClick={turn}>
              {rule.is_enabled ? "Turn off" : "Turn on"}
            </Button>
            <Button variant="quiet" aria-label={`Change ${rule.name}`} onClick={() => onOpen({ kind: "edit", rule })}>
              Change
            </Button>
            <Button variant="quiet" aria-label={`Remove ${rule.name}`} onClick={() => onOpen({ kind: "remove", rule })}>
              Remove
            </Button>
          </>
        )}
      </Cell>
    </tr>
  );
}

function RemoveDialog({ rule, onClose }: { readonly rule: Rule; readonly onClose: () => void }) {
  const remove = useRemoveRule();
  const act = () =>
    remove.mutate(rule.id, { onSuccess: onClose, onError: (error) => notify("failed", `The rule was not removed. ${error.message}`) });
  return (
    <Dialog title={`Remove ${rule.name}?`} onClose={onClose}>
      <p className="text-sm">Its open alerts end, and nobody watches this any more. What it found stays in the history.</p>
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onClose}>Leave it</Button>
        <Button variant="primary" disabled={remove.isPending} onClick={act}>
          Remove the rule
        </Button>
      </div>
    </Dialog>
  );
}
