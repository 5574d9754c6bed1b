/** The queue: who waits, in the order of the chosen rule, then who is being helped. */

import { LifeBuoy, ServerOff } from "lucide-react";
import type { ReactNode } from "react";

import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { Skeleton } from "@/components/ui/skeleton";
import { HelpRow } from "@/features/help/components/help-row";
import { isWaiting } from "@/features/help/help-words";
import { useConnection } from "@/lib/socket/fleet-store";
import { useHelpQueue } from "@/lib/socket/help-store";
import type { HelpCard } from "@/protocol/generated";

interface HelpListProps {
  /** The picture of a robot, which another feature draws. */
  readonly pictureOf: (robotId: string) => ReactNode;
}

export function HelpList({ pictureOf }: HelpListProps) {
  const queue = useHelpQueue();
  const { phase, reason } = useConnection();
  if (queue === null) {
    if (phase !== "offline" && phase !== "outdated") return <Skeleton className="h-56" />;
    return (
      <Card>
        <Notice icon={ServerOff} title="The queue cannot be read">
          {reason} It comes by itself once the link is back.
        </Notice>
      </Card>
    );
  }
  const waiting = queue.requests.filter(isWaiting);
  const served = queue.requests.filter((card) => !isWaiting(card));
  const rest = queue.total - queue.requests.length;
  return (
    <div className="flex flex-col gap-4">
      <Part title="Waiting" cards={waiting} isRanked pictureOf={pictureOf} />
      {rest > 0 ? <p className="text-sm text-ink-muted">And {rest} more, further down.</p> : null}
      {served.length > 0 ? <Part title="Being helped" cards={served} pictureOf={pictureOf} /> : null}
    </div>
  );
}

interface PartProps extends HelpListProps {
  readonly title: string;
  readonly cards: readonly HelpCard[];
  readonly isRanked?: boolean;
}

function Part({ title, cards, isRanked = false, pictureOf }: PartProps) {
  const id = `help-${title.replaceAll(" ", "-").toLowerCase()}`;
  return (
    <section aria-labelledby={id}>
      <h2 id={id} className="mb-2 text-base font-semibold">
        {title} <span className="numeric font-normal text-ink-muted">{cards.length}</span>
      </h2>
      <Card className="overflow-hidden">
        {cards.length === 0 ? (
          <Notice icon={LifeBuoy} title="Nobody waits for help">
            Robots ask when they make no progress, are unsure, run into their limits or stand still until a person comes.
          </Notice>
        ) : (
          <ol aria-labelledby={id}>
            {cards.map((card, index) => (
              <HelpRow key={card.request_id} card={card} place={isRanked ? index + 1 : null} picture={pictureOf(card.robot_id)} />
            ))}
          </ol>
        )}
      </Card>
    </section>
  );
}
