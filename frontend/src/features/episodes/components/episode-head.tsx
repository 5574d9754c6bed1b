/** What an episode is: its name, its outcome, and the facts of its recording. */

import { Link } from "react-router";

import { Panel } from "@/components/ui/card";
import { Figure } from "@/components/ui/figure";
import type { EpisodeDetail } from "@/features/episodes/api/episodes";
import { DamageChip } from "@/features/episodes/components/damage-chip";
import { OutcomeChip } from "@/features/episodes/components/outcome-chip";
import { FACET_TITLES, facetValue } from "@/features/episodes/words";
import { formatCount, formatDay, formatPercent, formatRate, withUnit } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

export function EpisodeHead({ episode }: { readonly episode: EpisodeDetail }) {
  return (
    <div className="mb-3">
      <p className="text-sm">
        <Link to="/episodes" className="text-link underline underline-offset-2">
          Episodes
        </Link>
      </p>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h1 className="text-xl font-semibold">
          {episode.task}, {episode.robot_name ?? "no robot"}
        </h1>
        <OutcomeChip episode={episode} />
        <DamageChip damage={episode.damage} />
        {episode.outcome_reason === "" ? null : <p className="text-sm text-ink-muted">{episode.outcome_reason}</p>}
        <Link to={`/episodes/${episode.id}/compare`} className="ml-auto text-sm text-link underline underline-offset-2">
          Compare with another
        </Link>
      </div>
      <p className="text-sm text-ink-muted">{episode.instruction}</p>
      {episode.damage === "" ? null : (
        <p className="text-sm text-fault">The store lost something of it, and the learner leaves it out: {episode.damage}</p>
      )}
    </div>
  );
}

export function EpisodeFacts({ episode }: { readonly episode: EpisodeDetail }) {
  const { run, run_name, policy_number, recording } = episode;
  return (
    <Panel title="Facts">
      <dl className="grid grid-cols-2 gap-3">
        <Figure label="Ended">{formatDay(Date.parse(episode.ended_at))}</Figure>
        <Figure label={FACET_TITLES.origin}>{facetValue("origin", episode.origin, episode.origin)}</Figure>
        <Figure label="Steps" note={`at ${formatRate(episode.control_rate_hz, "Hz")}`}>
          {formatCount(episode.steps)}
        </Figure>
        <Figure label="Human steps" note={`${formatCount(episode.human_steps)} of ${formatCount(episode.steps)}`}>
          {formatPercent(fraction(episode.human_share))}
        </Figure>
        <Figure label="Policy">
          {run === null || policy_number === null ? (
            "none"
          ) : (
            <Link to={`/training/${run}`} className="text-link underline underline-offset-2">
              v{policy_number} of {run_name}
            </Link>
          )}
        </Figure>
        <Figure label="Driver">{recording?.driver ?? "–"}</Figure>
        <Figure label="Calibration" note={recording?.calibration?.sha256.slice(0, 12)}>
          {recording?.calibration ? "declared" : "none declared"}
        </Figure>
      </dl>
      {recording?.calibration ? <CalibrationText document={recording.calibration.document} /> : null}
      {recording === null ? null : (
        <ul className="mt-3 grid gap-1 border-t border-line pt-3 text-sm">
          {recording.files.map(({ name, size, url }) => (
            <li key={name} className="flex justify-between gap-2">
              <a href={url} download={`${episode.id}-${name}`} className="truncate text-link underline underline-offset-2">
                {name}
              </a>
              <span className="numeric text-ink-muted">{withUnit(formatCount(Math.ceil(size / 1000)), "kB")}</span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** Checked to be JSON when the episode was registered. */
function CalibrationText({ document }: { readonly document: string }) {
  return (
    <details className="mt-3 border-t border-line pt-3 text-sm">
      <summary className="font-medium">Calibration as declared</summary>
      <pre tabIndex={0} aria-label="Calibration" className="numeric mt-2 max-h-64 overflow-auto text-xs">
        {JSON.stringify(JSON.parse(document), null, 2)}
      </pre>
    </details>
  );
}
