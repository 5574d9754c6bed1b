/** The newest messages to one receiver: what came of each, and the way to send one again. */

import { CircleCheck, CircleDashed, CircleX, Inbox, Send } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Delivery, type Webhook, useDeliveries, useSendAgain, useSendTest } from "@/features/webhooks/api/webhooks";
import { ageOf, eventLabel, outcomeOf } from "@/features/webhooks/webhook-words";
import { useServerNow } from "@/hooks/use-now";

const states = {
  delivered: { tone: "neutral", icon: CircleCheck },
  pending: { tone: "caution", icon: CircleDashed },
  dead: { tone: "fault", icon: CircleX },
} as const;
const columns = [
  { key: "at", label: "When" },
  { key: "event", label: "Event" },
  { key: "state", label: "State" },
  { key: "attempts", label: "Tries", isNumeric: true },
  { key: "outcome", label: "What came of it" },
  { key: "again", label: "" },
];

export function DeliveryLog({ webhook }: { readonly webhook: Webhook }) {
  const test = useSendTest();
  const send = () =>
    test.mutate(webhook.id, { onError: (error) => notify("failed", `The test was not sent. ${error.message}`) });
  return (
    <Panel
      title={`Messages to ${webhook.name}`}
      actions={
        <Button disabled={!webhook.is_active || test.isPending} onClick={send}>
          <Send aria-hidden className="size-4" />
          Send test
        </Button>
      }
    >
      <Log webhook={webhook} />
    </Panel>
  );
}

function Log({ webhook }: { readonly webhook: Webhook }) {
  const { data, error, refetch } = useDeliveries(webhook.id);
  const now = useServerNow();
  if (data === undefined && error === null) return <Skeleton className="h-40" />;
  if (data === undefined) {
    return (
      <ReadFailed title="The log could not be read" error={error} onRetry={() => void refetch()} />
    );
  }
  if (data.length === 0) {
    return (
      <Notice icon={Inbox} title="Nothing was sent yet">
        A test shows whether the receiver answers. Messages are kept here for 30 days.
      </Notice>
    );
  }
  return (
    <Table caption={`Messages to ${webhook.name}, the newest first`} columns={columns}>
      {data.map((delivery) => (
        <Row key={delivery.id} webhook={webhook} delivery={delivery} now={now} />
      ))}
    </Table>
  );
}

interface RowProps {
  readonly webhook: Webhook;
  readonly delivery: Delivery;
  readonly now: number;
}

function Row({ webhook, delivery, now }: RowProps) {
  const again = useSendAgain();
  const state = delivery.state in states ? states[delivery.state as keyof typeof states] : states.pending;
  const send = () =>
    again.mutate(
      { id: webhook.id, eventId: delivery.event_id },
      { onError: (error) => notify("failed", `It was not sent again. ${error.message}`) },
    );
  return (
    <tr className="align-baseline hover:bg-raised">
      <Cell className="whitespace-nowrap text-ink-muted">{ageOf(delivery.created_at, now)}</Cell>
      <Cell className="whitespace-nowrap">{eventLabel(delivery.event)}</Cell>
      <Cell className="py-1">
        <Chip icon={state.icon} tone={state.tone}>
          {delivery.state}
        </Chip>
      </Cell>
      <Cell isNumeric>{delivery.attempts}</Cell>
      <Cell className="min-w-48 text-ink-muted">{outcomeOf(delivery, now)}</Cell>
      <Cell className="py-0.5 text-right">
        {delivery.state === "pending" ? null : (
          <Button
            variant="quiet"
            aria-label={`Send ${eventLabel(delivery.event)} again`}
            disabled={!webhook.is_active || again.isPending}
            onClick={send}
          >
            Send again
          </Button>
        )}
      </Cell>
    </tr>
  );
}
