/** All webhooks, with the log of the chosen one below. The choice is in the URL. */

import { CircleAlert, CircleCheck, CirclePause, Webhook as WebhookIcon } from "lucide-react";
import { useState } from "react";
import { useSearchParams } from "react-router";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Webhook, useChangeWebhook, useRemoveWebhook, useRotateSecret, useWebhooks } from "@/features/webhooks/api/webhooks";
import { DeliveryLog } from "@/features/webhooks/components/delivery-log";
import { ChangeDialog, CreateDialog, SecretDialog } from "@/features/webhooks/components/webhook-dialog";
import { stateOf } from "@/features/webhooks/webhook-words";
import { useServerNow } from "@/hooks/use-now";
import { formatNoun } from "@/lib/units/format";

const columns = [
  { key: "name", label: "Name" },
  { key: "url", label: "URL" },
  { key: "events", label: "Events" },
  { key: "state", label: "State" },
  { key: "do", label: "" },
];

export function WebhooksPage() {
  const { data, error, refetch } = useWebhooks();
  if (data !== undefined) return <Loaded webhooks={data} />;
  if (error === null) return <Skeleton className="h-64" />;
  return (
    <Panel title="Webhooks">
      <ReadFailed title="The webhooks could not be read" error={error} onRetry={() => void refetch()} />
    </Panel>
  );
}

type Open = { readonly kind: "create" } | { readonly kind: "change" | "rotate" | "remove"; readonly webhook: Webhook } | null;

function Loaded({ webhooks }: { readonly webhooks: readonly Webhook[] }) {
  const [search, setSearch] = useSearchParams();
  const [open, setOpen] = useState<Open>(null);
  const chosen = webhooks.find((webhook) => webhook.id === search.get("webhook")) ?? webhooks[0];
  const close = () => setOpen(null);
  const create = (
    <Button variant="primary" onClick={() => setOpen({ kind: "create" })}>
      New webhook
    </Button>
  );
  return (
    <div className="flex flex-col gap-4">
      <h1 className="sr-only">Webhooks</h1>
      <Panel title="Webhooks" actions={webhooks.length > 0 ? create : null}>
        <p className="mb-2 max-w-prose text-sm text-ink-muted">
          A webhook tells another program what happens here: a signed message to its URL, tried again for a day.
        </p>
        {webhooks.length === 0 ? (
          <Notice icon={WebhookIcon} title="Nobody is told yet" action={create}>
            Make one to let a chat, a pager or a script of yours know.
          </Notice>
        ) : (
          <Table caption="Webhooks" columns={columns}>
            {webhooks.map((webhook) => (
              <Row
                key={webhook.id}
                webhook={webhook}
                isChosen={webhook === chosen}
                onChoose={() => setSearch({ webhook: webhook.id }, { replace: true })}
                onOpen={setOpen}
              />
            ))}
          </Table>
        )}
      </Panel>
      {chosen === undefined ? null : <DeliveryLog key={chosen.id} webhook={chosen} />}
      {open?.kind === "create" ? <CreateDialog onClose={close} /> : null}
      {open?.kind === "change" ? <ChangeDialog webhook={open.webhook} onClose={close} /> : null}
      {open?.kind === "rotate" ? <RotateDialog webhook={open.webhook} onClose={close} /> : null}
      {open?.kind === "remove" ? <RemoveDialog webhook={open.webhook} onClose={close} /> : null}
    </div>
  );
}

interface RowProps {
  readonly webhook: Webhook;
  readonly isChosen: boolean;
  readonly onChoose: () => void;
  readonly onOpen: (open: Open) => void;
}

function Row({ webhook, isChosen, onChoose, onOpen }: RowProps) {
  const now = useServerNow();
  const change = useChangeWebhook();
  const state = stateOf(webhook, now);
  const icon = state.tone === "neutral" ? (webhook.is_active ? CircleCheck : CirclePause) : CircleAlert;
  const toggle = () =>
    change.mutate(
      { row: webhook, is_active: !webhook.is_active },
      { onError: (error) => notify("failed", `“${webhook.name}” was not changed. ${error.message}`) },
    );
  return (
    <tr className={isChosen ? "bg-inset align-baseline" : "align-baseline hover:bg-raised"}>
      <Cell className="max-w-40">
        <button type="button" aria-pressed={isChosen} className="max-w-full truncate text-left font-medium text-link" onClick={onChoose}>
          {webhook.name}
        </button>
      </Cell>
      <Cell className="max-w-64 truncate font-mono text-xs" title={webhook.url}>
        {webhook.url}
      </Cell>
      <Cell className="text-xs text-ink-muted">{webhook.events.join(", ")}</Cell>
      <Cell className="py-1">
        <Chip icon={icon} tone={state.tone}>
          {state.word}
        </Chip>
        {webhook.disabled_reason === "" ? null : <span className="block text-xs text-ink-muted">{webhook.disabled_reason}</span>}
        {webhook.dropped === 0 ? null : <span className="block text-xs text-caution">{formatNoun(webhook.dropped, "event")} dropped</span>}
      </Cell>
      <Cell className="py-0.5 text-right whitespace-nowrap">
        <Button variant="quiet" aria-label={`Turn ${webhook.name} ${webhook.is_active ? "off" : "on"}`} disabled={change.isPending} onClick={toggle}>
          {webhook.is_active ? "Turn off" : "Turn on"}
        </Button>
        <Button variant="quiet" aria-label={`Change ${webhook.name}`} onClick={() => onOpen({ kind: "change", webhook })}>
          Change
        </Button>
        <Button variant="quiet" aria-label={`New secret for ${webhook.name}`} onClick={() => onOpen({ kind: "rotate", webhook })}>
          New secret
        </Button>
        <Button variant="quiet" aria-label={`Remove ${webhook.name}`} onClick={() => onOpen({ kind: "remove", webhook })}>
          Remove
        </Button>
      </Cell>
    </tr>
  );
}

interface AskProps {
  readonly webhook: Webhook;
  readonly onClose: () => void;
}

function RotateDialog({ webhook, onClose }: AskProps) {
  const rotate = useRotateSecret();
  if (rotate.data !== undefined) return <SecretDialog title="The new secret" secret={rotate.data.secret} onClose={onClose} />;
  return (
    <Dialog title={`A new secret for “${webhook.name}”?`} onClose={onClose}>
      <p className="text-sm">For 24 hours messages are signed with both, then with the new one alone. Give it to the receiver before.</p>
      <div className="mt-4 flex items-center justify-end gap-2">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {rotate.error?.message}
        </p>
        <Button onClick={onClose}>Keep the old one</Button>
        <Button variant="primary" disabled={rotate.isPending} onClick={() => rotate.mutate(webhook)}>
          Make a new secret
        </Button>
      </div>
    </Dialog>
  );
}

function RemoveDialog({ webhook, onClose }: AskProps) {
  const remove = useRemoveWebhook();
  const end = () =>
    remove.mutate(webhook, {
      onSuccess: onClose,
      onError: (error) => notify("failed", `“${webhook.name}” was not removed. ${error.message}`),
    });
  return (
    <Dialog title={`Remove “${webhook.name}”?`} onClose={onClose}>
      <p className="text-sm">Its log goes too, and what waits is not sent. This cannot be undone.</p>
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onClose}>Keep it</Button>
        <Button variant="primary" disabled={remove.isPending} onClick={end}>
          Remove the webhook
        </Button>
      </div>
    </Dialog>
  );
}
