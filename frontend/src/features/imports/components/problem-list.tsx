/** Problems by kind: what, of which feature, how often, and the first places, to be opened. */

import { ChevronRight } from "lucide-react";

import type { Problem } from "@/features/imports/api/imports";
import { placeText } from "@/features/imports/import-words";
import { formatCount, formatNoun } from "@/lib/units/format";

interface ProblemListProps {
  readonly problems: readonly Problem[];
  readonly isUsed: (feature: string) => boolean;
}

export function ProblemList({ problems, isUsed }: ProblemListProps) {
  const used = problems.filter((problem) => isUsed(problem.feature));
  const others = problems.filter((problem) => !isUsed(problem.feature));
  return (
    <div className="flex flex-col gap-3">
      {used.length > 0 ? <Group title={`${formatNoun(used.length, "kind")} of problems`} problems={used} /> : null}
      {others.length > 0 ? <Group title="In features that the mapping does not read" problems={others} /> : null}
    </div>
  );
}

function Group({ title, problems }: { readonly title: string; readonly problems: readonly Problem[] }) {
  return (
    <section aria-label={title}>
      <h3 className="mb-1 text-sm font-medium">{title}</h3>
      <ul className="divide-y divide-line border-y border-line">
        {problems.map((problem) => (
          <li key={`${problem.code} ${problem.feature}`}>
            <Row problem={problem} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Row({ problem }: { readonly problem: Problem }) {
  const left = problem.count - problem.examples.length;
  return (
    <details className="group text-sm">
      <summary className="flex cursor-pointer list-none items-baseline gap-3 py-1.5">
        <ChevronRight aria-hidden className="size-3.5 shrink-0 self-center text-ink-muted transition-transform group-open:rotate-90" />
        <span className="numeric w-8 shrink-0 text-right">{formatCount(problem.count)}</span>
        <span className="min-w-0 grow">
          {problem.feature === "" ? null : <span className="font-mono text-xs">{problem.feature} </span>}
          {problem.message}
        </span>
        <span className="font-mono text-xs text-ink-muted">{problem.code}</span>
      </summary>
      <ul className="mb-2 ml-[4.625rem] max-h-60 overflow-y-auto text-xs text-ink-muted" tabIndex={0} aria-label={`Where: ${problem.message}`}>
        {problem.examples.map((example, index) => (
          <li key={index} className="py-0.5">
            <span className="numeric">{placeText(example.episode, example.frame)}</span>
            {example.detail === "" ? "" : `: ${example.detail}`}
          </li>
        ))}
        {left > 0 ? <li className="py-0.5">and {formatCount(left)} more</li> : null}
      </ul>
    </details>
  );
}
