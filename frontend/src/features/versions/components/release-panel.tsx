/** How versions of a run reach robots: the strategy, what is current, rolling back, and what was done lately. */

import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import type { Release, Rollout } from "@/features/versions/api/versions";
import { ActDialog, canaryLimits, type Plan } from "@/features/versions/components/act-dialog";
import { CanaryPanel } from "@/features/versions/components/canary-panel";
import { RunShadows } from "@/features/versions/components/shadow-panel";
import { TrialsPanel } from "@/features/versions/components/trials-panel";
import { eventText, STRATEGIES } from "@/features/versions/words";
import { formatDay } from "@/lib/units/format";

interface ReleaseProps {
  readonly run: string;
  readonly release: Release;
}

export function ReleasePanels({ run, release }: ReleaseProps) {
  const [plan, setPlan] = useState<Plan | null>(null);
  const trying = release.rollout;
  return (
    <>
      {trying === null ? null : (
        <CanaryPanel rollout={trying} actions={<CanaryActions rollout={trying} onPlan={setPlan} />} />
      )}
      <RunShadows run={run} />
      <div className="mb-4 grid grid-cols-1 gap-4 xl:grid-cols-2">
        <StrategyPanel run={run} release={release} onPlan={setPlan} />
        <HistoryPanel release={release} />
      </div>
      <TrialsPanel trials={release.past} />
      {plan === null ? null : <ActDialog plan={plan} onClose={() => setPlan(null)} />}
    </>
  );
}

interface PlanProps {
  readonly onPlan: (plan: Plan) => void;
}

function CanaryActions({ rollout, onPlan }: PlanProps & { readonly rollout: Rollout }) {
  const decide = (action: string, button: string, text: string, done: string, isReasonNeeded = false) =>
    onPlan({
      title: `${button} v${rollout.candidate_number}`,
      text,
      button,
      done,
      isReasonNeeded,
      make: (reason) => ({ kind: "decide", rollout: rollout.id, action, reason }),
    });
  const { candidate_number: ours, baseline_number: theirs } = rollout;
  return (
    <div className="flex flex-wrap gap-2">
      {rollout.state === "paused" ? (
        <Button needs="release_versions" onClick={() => decide("resume", "Resume", `Its robots go on with v${ours}.`, "The canary goes on.")}>Resume</Button>
      ) : (
        <Button needs="release_versions" onClick={() => decide("pause", "Pause", `Its robots go back to v${theirs} until it is resumed.`, "The canary is paused.")}>
          Pause
        </Button>
      )}
      <Button needs="release_versions" onClick={() => decide("promote", "Promote", `Every robot that is not pinned gets v${ours}, without waiting for more evidence.`, `v${ours} is current.`)}>
        Promote
      </Button>
      <Button needs="release_versions" onClick={() => decide("roll-back", "Roll back", `Its robots go back to v${theirs} at the end of their episodes.`, `v${ours} is rolled back.`, true)}>
        Roll back
      </Button>
    </div>
  );
}

function StrategyPanel({ run, release, onPlan }: ReleaseProps & PlanProps) {
  const known = STRATEGIES.find(({ value }) => value === release.strategy);
  const choose = (strategy: string) => {
    const chosen = STRATEGIES.find(({ value }) => value === strategy);
    onPlan({
      title: `Strategy: ${chosen?.label ?? strategy}`,
      text: chosen?.about ?? "",
      button: "Choose",
      done: "The strategy is changed.",
      ...(strategy === "canary" ? { limits: canaryLimits(release.canary) } : {}),
      make: (_reason, limits) => ({ kind: "strategy", run, over: release.revision, strategy, ...(strategy === "canary" ? { canary: limits } : {}) }),
    });
  };
  const rollBack = () =>
    onPlan({
      title: "Roll back all robots",
      text: "Every robot that is not pinned goes back to the version before the current one at the end of its episode. New versions then wait.",
      button: "Roll back",
      done: "The robots are rolled back.",
      isReasonNeeded: true,
      make: (reason) => ({ kind: "roll-back-run", run, version: null, reason }),
    });
  return (
    <Panel title="How versions reach robots">
      <p className="text-sm">
        {release.current === null ? (
          "There is no version yet."
        ) : (
          <>
            Robots drive with{" "}
            <Link to={`/versions/${release.current}`} className="numeric text-link underline underline-offset-2">
              v{release.current_number}
            </Link>
            . {known?.about}
          </>
        )}
      </p>
      <div className="mt-3 flex flex-wrap items-end gap-2">
        <SelectField
          label="Strategy"
          needs="release_versions"
          value={release.strategy}
          options={STRATEGIES}
          onValue={(value) => {
            if (value !== release.strategy) choose(value);
          }}
          className="w-40"
        />
        <Button
          needs="release_versions"
          onClick={rollBack}
          disabled={release.current_number === null || release.current_number === 0}
        >
          Roll back all robots
        </Button>
      </div>
    </Panel>
  );
}

const SHOWN_EVENTS = 8;

function HistoryPanel({ release }: { readonly release: Release }) {
  return (
    <Panel title="What was done">
      {release.events.length === 0 ? (
        <p className="text-sm text-ink-muted">Nothing yet: every version went to all robots at once.</p>
      ) : (
        <ol className="grid gap-1.5 text-sm">
          {release.events.slice(0, SHOWN_EVENTS).map((event) => (
            <li key={event.id}>
              <span className="numeric text-ink-muted">{formatDay(Date.parse(event.at))}</span>{" "}
              <span className="font-medium">
                {eventText(event.kind)}
                {event.number === null ? "" : ` v${event.number}`}
                {event.robot_name === "" ? "" : ` on ${event.robot_name}`}
              </span>{" "}
              by {event.by_name === "" ? "the rollout itself" : event.by_name}
              {event.reason === "" ? "" : `: ${event.reason}`}
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
