/** A webhook's name, URL and events: of a new one, then its secret once; or of one that is changed. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { TextField } from "@/components/ui/field";
import { SecretShown } from "@/components/ui/secret-shown";
import { type Webhook, type WebhookWish, useChangeWebhook, useCreateWebhook } from "@/features/webhooks/api/webhooks";
import { events } from "@/features/webhooks/webhook-words";

export function CreateDialog({ onClose }: { readonly onClose: () => void }) {
  const create = useCreateWebhook();
  if (create.data !== undefined) return <SecretDialog title="The webhook is made" secret={create.data.secret} onClose={onClose} />;
  return (
    <Dialog title="New webhook" onClose={onClose}>
      <Form
        initial={{ name: "", url: "", events: [] }}
        action="Make the webhook"
        problem={create.error === null ? "" : `No webhook was made. ${create.error.message}`}
        isBusy={create.isPending}
        onSubmit={(wish) => create.mutate(wish)}
      />
    </Dialog>
  );
}

export function ChangeDialog({ webhook, onClose }: { readonly webhook: Webhook; readonly onClose: () => void }) {
  const change = useChangeWebhook();
  return (
    <Dialog title={`Change “${webhook.name}”`} onClose={onClose}>
      <Form
        initial={webhook}
        action="Save"
        problem={change.error === null ? "" : `Nothing was changed. ${change.error.message}`}
        isBusy={change.isPending}
        onSubmit={({ name, url, events: chosen }) =>
          change.mutate({ row: webhook, name, url, events: chosen }, { onSuccess: onClose })
        }
      />
    </Dialog>
  );
}

interface SecretDialogProps {
  readonly title: string;
  readonly secret: string;
  readonly onClose: () => void;
}

export function SecretDialog({ title, secret, onClose }: SecretDialogProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <SecretShown label="Secret" secret={secret} onClose={onClose}>
        The receiver checks signatures with this secret. Copy it now: no table holds it, so it cannot be shown again.
      </SecretShown>
    </Dialog>
  );
}

interface FormProps {
  readonly initial: WebhookWish;
  readonly action: string;
  readonly problem: string;
  readonly isBusy: boolean;
  readonly onSubmit: (wish: WebhookWish) => void;
}

function Form({ initial, action, problem, isBusy, onSubmit }: FormProps) {
  const [name, setName] = useState(initial.name);
  const [url, setUrl] = useState(initial.url);
  const [chosen, setChosen] = useState<readonly string[]>(initial.events);
  const toggle = (event: string) => setChosen(chosen.includes(event) ? chosen.filter((each) => each !== event) : [...chosen, event]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSubmit({ name: name.trim(), url: url.trim(), events: chosen });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <TextField label="Name" data-autofocus required maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />
      <TextField
        label="URL"
        type="url"
        required
        maxLength={2000}
        placeholder="https://chat.example/hook"
        value={url}
        onChange={(event) => setUrl(event.target.value)}
      />
      <fieldset>
        <legend className="mb-1 text-sm font-medium">Tell it when</legend>
        {events.map((event) => (
          <label key={event.value} className="flex min-h-8 items-center gap-2 text-sm">
            <input
              type="checkbox"
              className="size-4 accent-action"
              checked={chosen.includes(event.value)}
              onChange={() => toggle(event.value)}
            />
            {event.label}
            <span className="font-mono text-xs text-ink-muted">{event.value}</span>
          </label>
        ))}
      </fieldset>
      <div className="flex items-center justify-end gap-3">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {problem}
        </p>
        <Button type="submit" variant="primary" disabled={name.trim() === "" || url.trim() === "" || chosen.length === 0 || isBusy}>
          {action}
        </Button>
      </div>
    </form>
  );
}
