/** What the console looked at before a takeover, each with what it found. */

import { CircleAlert, CircleCheck } from "lucide-react";

import type { Check } from "@/features/teleop/checks";

interface CheckListProps {
  readonly checks: readonly Check[];
  /** Then only what is missing is listed. */
  readonly isCompact: boolean;
  readonly robot: string;
}

export function CheckList({ checks, isCompact, robot }: CheckListProps) {
  const open = checks.filter((check) => !check.isOk);
  const shown = isCompact ? open.slice(0, 3) : checks;
  return (
    <section aria-label={`Checks before taking over ${robot}`} data-testid="checks">
      <h3 className="text-xs font-medium">
        {open.length === 0 ? "Ready to take over" : `${open.length} of ${checks.length} checks fail`}
      </h3>
      <ul className="mt-1 grid grid-cols-1 gap-0.5 text-xs">
        {shown.map(({ key, label, isOk, detail }) => (
          <li key={key} data-testid={`check-${key}`} data-ok={isOk} className="flex min-w-0 items-start gap-1.5">
            {isOk ? (
              <CircleCheck aria-hidden className="mt-px size-3.5 shrink-0 text-ink-muted" />
            ) : (
              <CircleAlert aria-hidden className="mt-px size-3.5 shrink-0 text-caution" />
            )}
            <span className="w-24 shrink-0">{label}</span>
            <span className={isOk ? "truncate text-ink-muted" : "text-caution"} title={detail}>
              <span className="sr-only">{isOk ? "holds: " : "fails: "}</span>
              {detail}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
