/** The candidate that is being tried, live: both rates, the evidence on its way to the limits, what happens next. */

import { FlaskConical, Pause } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";

import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { Cell, Table } from "@/components/ui/table";
import type { Evidence, Measure, Rollout } from "@/features/versions/api/versions";
import { goodText, MEASURE_NAMES, oddsText, pointsText, progressOf } from "@/features/versions/words";
import { formatCount, formatNoun } from "@/lib/units/format";

interface CanaryPanelProps {
  readonly rollout: Rollout;
  readonly actions: ReactNode;
}

export function CanaryPanel({ rollout, actions }: CanaryPanelProps) {
  const isPaused = rollout.state === "paused";
  return (
    <Panel title={`Trying v${rollout.candidate_number} against v${rollout.baseline_number}`} actions={actions} className="mb-4">
      <p className="mb-2 flex flex-wrap items-center gap-2 text-sm">
        <Chip icon={isPaused ? Pause : FlaskConical} tone={isPaused ? "caution" : "assist"}>
          {isPaused ? "Paused" : "Canary"}
        </Chip>
        <span>
          <Link to={`/versions/${rollout.candidate}`} className="text-link underline underline-offset-2">
            v{rollout.candidate_number}
          </Link>{" "}
          on {rollout.robots.join(", ")}; the others drive with v{rollout.baseline_number}.
        </span>
      </p>
      <p className="mb-3 text-base font-medium" role="status">
        {rollout.next}
      </p>
      {rollout.evidence === null ? null : <EvidenceTable evidence={rollout.evidence} rollout={rollout} />}
    </Panel>
  );
}

const columns = [
  { key: "measure", label: "Measure" },
  { key: "candidate", label: "Candidate", isNumeric: true },
  { key: "current", label: "Current", isNumeric: true },
  { key: "difference", label: "Difference at the same tasks, 95 % at every look", isNumeric: true },
  { key: "harm", label: "Evidence that it is worse" },
  { key: "worth", label: "Evidence that it is good enough" },
];

export function EvidenceTable({ evidence, rollout }: { readonly evidence: Evidence; readonly rollout: Rollout }) {
  const [leftOurs = 0, leftTheirs = 0] = evidence.left_out;
  const [waitOurs = 0, waitTheirs = 0] = evidence.unsettled;
  return (
    <>
      <Table caption={`Evidence about v${rollout.candidate_number}`} columns={columns}>
        {evidence.measures.map((measure) => (
          <MeasureRow key={measure.name} measure={measure} evidence={evidence} />
        ))}
      </Table>
      <p className="mt-2 text-xs text-ink-muted">
        One episode of the candidate is compared with the mean of {formatNoun(rollout.per_block, "episode")} of the current version
        at the same task. Left out as aborted, archived or invalid: {formatCount(leftOurs)} and {formatCount(leftTheirs)}. Not counted
        until no earlier one can still come: {formatCount(waitOurs)} and {formatCount(waitTheirs)}.
      </p>
    </>
  );
}

function MeasureRow({ measure, evidence }: { readonly measure: Measure; readonly evidence: Evidence }) {
  return (
    <tr>
      <Cell>{MEASURE_NAMES[measure.name] ?? measure.name}</Cell>
      <Cell isNumeric>{goodText(measure.candidate_good, evidence.candidate)}</Cell>
      <Cell isNumeric>{goodText(measure.current_good, evidence.current)}</Cell>
      <Cell isNumeric className="whitespace-nowrap">
        {measure.difference === null ? "–" : pointsText(measure.difference)}
      </Cell>
      <Cell>
        <Odds value={measure.harm} limit={measure.harm_limit} what="worse" />
      </Cell>
      <Cell>
        <Odds value={measure.worth} limit={measure.worth_limit} what="good enough" />
      </Cell>
    </tr>
  );
}

/** A bar from 1 : 1 to the limit, on a logarithmic scale, with the numbers beside it. */
function Odds({ value, limit, what }: { readonly value: number; readonly limit: number; readonly what: string }) {
  const share = progressOf(value, limit);
  return (
    <div className="flex items-center gap-2 whitespace-nowrap">
      <div
        role="meter"
        aria-label={`Evidence that it is ${what}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={`${oddsText(value)}, limit ${oddsText(limit)}`}
        className="h-2 w-20 overflow-hidden rounded-full bg-inset"
      >
        <div className="h-full bg-ink-muted" style={{ width: `${share * 100}%` }} />
      </div>
      <span className="numeric text-xs">
        {oddsText(value)} <span className="text-ink-muted">of {oddsText(limit)}</span>
      </span>
    </div>
  );
}
