/** Choose the other episode: those of the same task, the newest first. */

import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { SelectField } from "@/components/ui/field";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { type EpisodeDetail, useEpisodes } from "@/features/episodes/api/episodes";
import { OutcomeChip } from "@/features/episodes/components/outcome-chip";
import { OUTCOME_NAMES, outcomeWord } from "@/features/episodes/words";
import { formatCount, formatDay, formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const columns = [
  { key: "ended", label: "Ended" },
  { key: "robot", label: "Robot" },
  { key: "policy", label: "Policy" },
  { key: "outcome", label: "Outcome" },
  { key: "steps", label: "Steps", isNumeric: true },
  { key: "human", label: "Human", isNumeric: true },
];
const outcomes = [{ value: "", label: "Any outcome" }, ...OUTCOME_NAMES.map((name) => ({ value: name, label: outcomeWord(name).text }))];

export function ComparePicker({ episode }: { readonly episode: EpisodeDetail }) {
  const [outcome, setOutcome] = useState("");
  const query = new URLSearchParams({ task: episode.task, archived: "any", sort: "-registered" });
  if (outcome !== "") query.set("outcome", outcome);
  const { data, error, hasNextPage, fetchNextPage, isFetchingNextPage } = useEpisodes(query.toString());
  const rows = data?.filter(({ id }) => id !== episode.id);
  return (
    <>
      <div className="mb-2 flex flex-wrap items-center gap-3">
        <p className="grow text-sm text-ink-muted">Other episodes of {episode.task}.</p>
        <SelectField label="Outcome" isLabelHidden className="w-36" options={outcomes} value={outcome} onValue={setOutcome} />
      </div>
      {error === null ? null : <p className="text-sm text-fault">They could not be read. {error.message}</p>}
      {rows === undefined ? (
        error === null ? <Skeleton className="h-48" /> : null
      ) : rows.length === 0 ? (
        <p className="py-6 text-center text-sm text-ink-muted">There is no other episode like this.</p>
      ) : (
        <Table caption="Other episodes of this task" columns={columns} className="max-h-80">
          {rows.map((row) => (
            <tr key={row.id} className="hover:bg-raised">
              <Cell className="numeric whitespace-nowrap">
                <Link to={`/episodes/${episode.id}/compare/${row.id}`} className="text-link underline underline-offset-2">
                  {formatDay(Date.parse(row.ended_at))}
                </Link>
              </Cell>
              <Cell>{row.robot_name ?? "none"}</Cell>
              <Cell className="numeric">{row.policy_number === null ? "none" : `v${row.policy_number} of ${row.run_name ?? "another run"}`}</Cell>
              <Cell>
                <OutcomeChip episode={row} />
              </Cell>
              <Cell isNumeric>{formatCount(row.steps)}</Cell>
              <Cell isNumeric>{formatPercent(fraction(row.human_share))}</Cell>
            </tr>
          ))}
        </Table>
      )}
      {hasNextPage ? (
        <Button className="mt-2" onClick={() => void fetchNextPage()} disabled={isFetchingNextPage}>
          {isFetchingNextPage ? "Loading" : "Load more"}
        </Button>
      ) : null}
    </>
  );
}
