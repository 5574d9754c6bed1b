/** What would be frozen now, in numbers. Keeps its size while it counts again. */

import { Panel } from "@/components/ui/card";
import { Figure } from "@/components/ui/figure";
import type { Preview } from "@/features/datasets/api/versions";
import { formatBytes, formatCount, formatNoun, formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

interface PreviewPanelProps {
  readonly preview: Preview | undefined;
  readonly error: Error | null;
  readonly isBusy: boolean;
}

export function PreviewPanel({ preview, error, isBusy }: PreviewPanelProps) {
  return (
    <Panel title="What would be in it">
      <div aria-busy={isBusy} className="min-h-24">
        {error !== null ? (
          <p role="alert" className="text-sm text-fault">
            It could not be counted. {error.message}
          </p>
        ) : preview === undefined ? null : (
          <Counts preview={preview} />
        )}
      </div>
    </Panel>
  );
}

function Counts({ preview }: { readonly preview: Preview }) {
  const { episodes, frames, human_frames: human, successes, terminated, archived_left_out: leftOut } = preview;
  const share = (part: number, of: number) => (of === 0 ? "–" : formatPercent(fraction(part / of)));
  return (
    <>
      <dl className="grid grid-cols-2 gap-3 sm:grid-cols-4">
        <Figure label="Episodes" note={leftOut === 0 ? null : `${formatCount(leftOut)} archived left out`}>
          <span role="status">{formatCount(episodes)}</span>
        </Figure>
        <Figure label="Frames" note={formatBytes(preview.size_bytes)}>
          {formatCount(frames)}
        </Figure>
        <Figure label="Success" note={`${formatCount(successes)} of ${formatCount(terminated)} that terminated`}>
          {share(successes, terminated)}
        </Figure>
        <Figure label="Frames driven by people">{share(human, frames)}</Figure>
        <Figure label="Splits" className="col-span-2">
          {preview.splits.map((split) => `${split.name} ${formatCount(split.episodes)}`).join(", ")}
        </Figure>
        <Figure label="Tasks" className="col-span-2" note={preview.tasks.length > 4 ? `and ${preview.tasks.length - 4} more` : null}>
          {preview.tasks
            .slice(0, 4)
            .map((task) => `${task.name} ${formatCount(task.episodes)}`)
            .join(", ") || "none"}
        </Figure>
      </dl>
      {episodes === 0 ? <p className="mt-2 text-sm text-ink-muted">{`There is ${formatNoun(0, "episode")} to freeze.`}</p> : null}
    </>
  );
}
