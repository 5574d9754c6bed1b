/** One request: which robot, why, how urgent, how long it waits or who serves it, and the way to the robot. */

import { ArrowRight, Hand } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";

import { Chip } from "@/components/ui/chip";
import { Since } from "@/features/help/components/since";
import { isWaiting, reasonOf } from "@/features/help/help-words";
import { formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";
import { cn } from "@/lib/class-names";
import type { HelpCard } from "@/protocol/generated";

interface HelpRowProps {
  readonly card: HelpCard;
  /** Its place among those that wait, from 1; null while it is served. */
  readonly place: number | null;
  readonly picture: ReactNode;
}

export function HelpRow({ card, place, picture }: HelpRowProps) {
  const { text, icon, tone } = reasonOf(card.reason);
  const isOpen = isWaiting(card);
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 border-b border-line px-4 py-3 last:border-b-0">
      <span aria-hidden className="numeric w-5 text-right text-sm text-ink-muted">
        {place ?? ""}
      </span>
      {picture}
      <div className="min-w-44 grow basis-60">
        <div className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
          <h3 className="max-w-48 truncate text-base font-semibold">{card.robot}</h3>
          <Chip icon={icon} tone={isOpen ? tone : "neutral"}>
            {text}
          </Chip>
        </div>
        <p className="mt-0.5 line-clamp-2 text-sm text-ink-muted">{card.detail || "No details."}</p>
        <p className="mt-0.5 text-xs text-ink-muted">
          {card.task || "No task"}
          {card.policy_number === null ? null : <span className="numeric"> · v{card.policy_number}</span>}
        </p>
      </div>
      <Urgency score={card.score} />
      <p className="numeric w-32 text-sm">{isOpen ? <WaitsFor card={card} /> : <ServedBy card={card} />}</p>
      <Link
        to={`/teleop/${card.robot_id}`}
        aria-label={isOpen ? `Go to ${card.robot}` : `Watch ${card.robot}`}
        className={cn(
          "inline-flex h-9 w-24 shrink-0 items-center justify-center gap-1.5 rounded-md text-sm",
          isOpen ? "bg-action font-medium text-ink-inverse hover:bg-action-hover" : "border border-line-strong hover:bg-raised",
        )}
      >
        {isOpen ? "Go" : "Watch"}
        <ArrowRight aria-hidden className="size-4" />
      </Link>
    </li>
  );
}

function Urgency({ score }: { readonly score: number }) {
  const share = fraction(score);
  return (
    <div className="w-20">
      <p className="label">Score</p>
      <p className="numeric text-sm">{formatPercent(share)}</p>
      <div aria-hidden className="mt-0.5 h-1 overflow-hidden rounded-full bg-inset">
        <div className="h-full origin-left rounded-full bg-line-strong" style={{ transform: `scaleX(${score})` }} />
      </div>
    </div>
  );
}

const WaitsFor = ({ card }: { readonly card: HelpCard }) => (
  <>
    <span className="label block">Waits</span>
    <Since startMs={card.opened_ms} />
  </>
);

const ServedBy = ({ card }: { readonly card: HelpCard }) => (
  <>
    <span className="flex items-center gap-1 text-assist">
      <Hand aria-hidden className="size-3.5 shrink-0" />
      <span className="truncate">{card.operator} helps</span>
    </span>
    <span className="text-ink-muted">
      for <Since startMs={card.claimed_ms ?? card.opened_ms} />
    </span>
  </>
);
