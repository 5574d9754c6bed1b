/** How two episodes differ, in a table: what is not the same stands out. */

import { Panel } from "@/components/ui/card";
import { Cell, Table } from "@/components/ui/table";
import type { EpisodeDetail } from "@/features/episodes/api/episodes";
import type { Side } from "@/features/episodes/episode-pair";
import { takeoversOf } from "@/features/episodes/takeovers";
import { outcomeWord } from "@/features/episodes/words";
import { formatCount, formatPercent, withUnit } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const columns = [
  { key: "what", label: "Fact" },
  { key: "a", label: "A" },
  { key: "b", label: "B" },
  { key: "difference", label: "B less A", isNumeric: true },
];

interface CompareFactsProps {
  readonly a: EpisodeDetail;
  readonly b: EpisodeDetail;
  /** The frame of the first success, null for none. */
  readonly successes: Readonly<Record<Side, number | null>>;
}

interface Fact {
  readonly what: string;
  readonly a: string;
  readonly b: string;
  readonly difference: string;
}

export function CompareFacts({ a, b, successes }: CompareFactsProps) {
  return (
    <Panel title="Differences">
      <Table caption="How the two episodes differ" columns={columns}>
        {factsOf(a, b, successes).map(({ what, a: left, b: right, difference }) => (
          <tr key={what} className={left === right ? "text-ink-muted" : "font-medium"}>
            <Cell className="font-normal text-ink-muted">{what}</Cell>
            <Cell className="numeric">{left}</Cell>
            <Cell className="numeric">{right}</Cell>
            <Cell isNumeric>{difference}</Cell>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

function factsOf(a: EpisodeDetail, b: EpisodeDetail, successes: CompareFactsProps["successes"]): readonly Fact[] {
  const words = (what: string, word: (episode: EpisodeDetail) => string): Fact => ({ what, a: word(a), b: word(b), difference: "" });
  const numbers = (what: string, left: number | null, right: number | null): Fact => ({
    what,
    a: left === null ? "none" : formatCount(left),
    b: right === null ? "none" : formatCount(right),
    difference: left === null || right === null ? "" : signed(right - left),
  });
  return [
    words("Outcome", ({ outcome, outcome_reason: reason }) => `${outcomeWord(outcome).text}${reason === "" ? "" : `: ${reason}`}`),
    words("Policy", ({ policy_number: number, run_name: run }) => (number === null ? "none" : `v${number} of ${run ?? "another run"}`)),
    words("Robot", ({ robot_name: robot }) => robot ?? "none"),
    numbers("Steps", a.steps, b.steps),
    words("Duration", ({ steps, control_rate_hz: rate }) => withUnit((steps / rate).toFixed(1), "s")),
    numbers("First success at step", successes.a, successes.b),
    numbers("Takeovers", takeoversOf(a.segments).length, takeoversOf(b.segments).length),
    numbers("First takeover at step", takeoversOf(a.segments)[0] ?? null, takeoversOf(b.segments)[0] ?? null),
    numbers("Human steps", a.human_steps, b.human_steps),
    words("Human share", ({ human_share: share }) => formatPercent(fraction(share))),
    words("Operators", ({ operators }) => operators.join(", ") || "none"),
    words("Tags", ({ tags }) => tags.join(", ") || "none"),
    words("Instruction", ({ instruction }) => instruction),
  ];
}

function signed(value: number): string {
  if (value === 0) return "0";
  return `${value > 0 ? "+" : "−"}${formatCount(Math.abs(value))}`;
}
