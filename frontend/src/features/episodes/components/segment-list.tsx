/** Who drove when, and why they took over: the timeline in words. */

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Cell, Table } from "@/components/ui/table";
import type { Segment } from "@/features/episodes/api/episodes";
import { driverWord } from "@/features/episodes/words";
import { cn } from "@/lib/class-names";

const columns = [
  { key: "steps", label: "Steps", isNumeric: true },
  { key: "driver", label: "Driven by" },
  { key: "reason", label: "Reason" },
];

interface SegmentListProps {
  readonly segments: readonly Segment[];
  readonly seek: (frame: number) => void;
}

export function SegmentList({ segments, seek }: SegmentListProps) {
  return (
    <Panel title="Who drove">
      <Table caption="Segments" columns={columns} className="max-h-72">
        {segments.map(({ start, end, source, operator, mode, reason }) => {
          const { text, icon: Icon, band } = driverWord(source);
          return (
            <tr key={start}>
              <Cell isNumeric className="whitespace-nowrap">
                <Button variant="quiet" onClick={() => seek(start)}>
                  <span className="sr-only">Go to steps</span> {start}–{end - 1}
                </Button>
              </Cell>
              <Cell>
                <span className="flex items-center gap-1.5">
                  <span aria-hidden className={cn("size-2.5 shrink-0 rounded-xs", band)} />
                  <Icon aria-hidden className="size-3.5 shrink-0 text-ink-muted" />
                  {operator === "" ? text : operator}
                </span>
                <span className="text-xs text-ink-muted">{mode}</span>
              </Cell>
              <Cell className="break-words">{reason || "–"}</Cell>
            </tr>
          );
        })}
      </Table>
    </Panel>
  );
}
