/** The rows of the library. Off-screen rows are not laid out (content-visibility), so thousands stay quick. */

import { Archive, MessageSquare } from "lucide-react";
import { Link } from "react-router";

import { Cell, Table } from "@/components/ui/table";
import type { EpisodeRow } from "@/features/episodes/api/episodes";
import { DamageChip } from "@/features/episodes/components/damage-chip";
import { OutcomeChip } from "@/features/episodes/components/outcome-chip";
import type { Selection } from "@/features/episodes/hooks/use-selection";
import { formatCount, formatDay, formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const columns = [
  { key: "tick", label: "Tick" },
  { key: "ended", label: "Ended" },
  { key: "task", label: "Task" },
  { key: "robot", label: "Robot" },
  { key: "version", label: "Policy" },
  { key: "outcome", label: "Outcome" },
  { key: "steps", label: "Steps", isNumeric: true },
  { key: "share", label: "Human", isNumeric: true },
  { key: "operators", label: "Operators" },
  { key: "tags", label: "Tags" },
];

interface EpisodeTableProps {
  readonly rows: readonly EpisodeRow[];
  readonly selection: Selection;
}

export function EpisodeTable({ rows, selection }: EpisodeTableProps) {
  return (
    <Table caption="Episodes" columns={columns}>
      {rows.map((row) => (
        <Row
          key={row.id}
          row={row}
          isTicked={selection.isAll || selection.ids.has(row.id)}
          onTick={() => selection.toggle(row.id)}
        />
      ))}
    </Table>
  );
}

interface RowProps {
  readonly row: EpisodeRow;
  readonly isTicked: boolean;
  readonly onTick: () => void;
}

function Row({ row, isTicked, onTick }: RowProps) {
  const day = formatDay(Date.parse(row.ended_at));
  const name = `${row.task}, ${row.robot_name ?? "no robot"}, ${day}`;
  return (
    <tr className="[contain-intrinsic-height:2.25rem] [content-visibility:auto] hover:bg-raised">
      <Cell>
        <input type="checkbox" className="size-4 accent-action" aria-label={`Tick ${name}`} checked={isTicked} onChange={onTick} />
      </Cell>
      <Cell className="numeric whitespace-nowrap">
        <Link to={`/episodes/${row.id}`} aria-label={`Open ${name}`} className="font-medium text-link underline underline-offset-2">
          {day}
        </Link>
      </Cell>
      <Cell className="whitespace-nowrap">{row.task}</Cell>
      <Cell className="whitespace-nowrap">{row.robot_name ?? "–"}</Cell>
      <Cell className="numeric whitespace-nowrap">{row.policy_number === null ? "–" : `v${row.policy_number}`}</Cell>
      <Cell>
        <span className="flex items-center gap-1.5">
          <OutcomeChip episode={row} />
          <DamageChip damage={row.damage} />
        </span>
      </Cell>
      <Cell isNumeric>{formatCount(row.steps)}</Cell>
      <Cell isNumeric className="whitespace-nowrap">
        {row.human_steps === 0 ? "–" : formatPercent(fraction(row.human_share))}
      </Cell>
      <Cell className="max-w-32 truncate">{row.operators.join(", ") || "–"}</Cell>
      <Cell>
        <span className="flex items-center gap-1">
          {row.tags.map((tag) => (
            <span key={tag} className="max-w-28 truncate rounded-md border border-line px-1.5 text-xs" title={tag}>
              {tag}
            </span>
          ))}
          {row.comment === "" ? null : <Mark icon={MessageSquare} text={row.comment} />}
          {row.is_archived ? <Mark icon={Archive} text="Archived" /> : null}
        </span>
      </Cell>
    </tr>
  );
}

function Mark({ icon: Icon, text }: { readonly icon: typeof Archive; readonly text: string }) {
  return (
    <span title={text} className="inline-flex text-ink-muted">
      <Icon aria-hidden className="size-3.5" />
      <span className="sr-only">{text}</span>
    </span>
  );
}
