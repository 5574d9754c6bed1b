/** Every label the episode ever had, the newest first. */

import { type Revision, useLabelHistory } from "@/features/episodes/api/labels";
import { outcomeWord } from "@/features/episodes/words";
import { formatDay } from "@/lib/units/format";

export function LabelHistory({ episodeId }: { readonly episodeId: string }) {
  const { data: revisions, error } = useLabelHistory(episodeId);
  if (revisions === undefined) {
    return error === null ? null : <p className="mt-3 text-sm text-fault">The history could not be read. {error.message}</p>;
  }
  if (revisions.length === 0) return null;
  return (
    <details className="mt-3 border-t border-line pt-2">
      <summary className="text-sm font-medium">History</summary>
      <ol className="mt-1 grid gap-1.5 text-sm">
        {revisions.map((each) => (
          <li key={each.revision}>
            <span className="numeric text-ink-muted">
              {formatDay(Date.parse(each.at))}, {each.revision === 0 ? "recorded" : each.by_name}
            </span>
            <br />
            {textOf(each)}
          </li>
        ))}
      </ol>
    </details>
  );
}

function textOf({ outcome, outcome_reason, tags, comment, is_archived, undoes }: Revision): string {
  const parts = [
    undoes === null ? "" : "took the change before back",
    `${outcomeWord(outcome).text}${outcome_reason === "" ? "" : ` (${outcome_reason})`}`,
    tags.length === 0 ? "" : `tags ${tags.join(", ")}`,
    comment === "" ? "" : `“${comment}”`,
    is_archived ? "archived" : "",
  ];
  return parts.filter((part) => part !== "").join("; ");
}
