/** How an episode ended, and whether a person said so. */

import { UserCheck } from "lucide-react";

import { Chip } from "@/components/ui/chip";
import { outcomeWord } from "@/features/episodes/words";

interface OutcomeChipProps {
  readonly episode: { readonly outcome: string; readonly outcome_source: string; readonly environment_outcome: string };
}

export function OutcomeChip({ episode: { outcome, outcome_source, environment_outcome } }: OutcomeChipProps) {
  const { text, icon, tone } = outcomeWord(outcome);
  const isPerson = outcome_source === "person";
  const said = environment_outcome === "" ? "" : `; the environment said ${outcomeWord(environment_outcome).text.toLowerCase()}`;
  return (
    <span className="inline-flex items-center gap-1.5">
      <Chip icon={icon} tone={tone}>
        {text}
      </Chip>
      {isPerson ? (
        <span title={`A person said so${said}`} className="inline-flex text-ink-muted">
          <UserCheck aria-hidden className="size-3.5" />
          <span className="sr-only">said by a person{said}</span>
        </span>
      ) : null}
    </span>
  );
}
