/** Robots against tasks: a cell gives or ends work, its chip is dragged to move the work elsewhere. */

import { Grid3x3 } from "lucide-react";
import { useState } from "react";

import { Card } from "@/components/ui/card";
import { TextField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { notify } from "@/components/ui/toast";
import { type Board, type BoardRobot, type BoardTask, type Move, useBoard, useMoves } from "@/features/assignments/api/board";
import { BoardTable } from "@/features/assignments/components/board-table";
import { Suggestions } from "@/features/assignments/components/suggestions";
import { WorkDialog } from "@/features/assignments/components/work-dialog";
import { useRefusal } from "@/hooks/use-session";
import { changeProblem } from "@/lib/api/errors";

export interface Place {
  readonly robot: BoardRobot;
  readonly task: BoardTask;
}

export function AssignmentBoard() {
  const { data: board, error, refetch } = useBoard();
  if (board === undefined && error !== null)
    return (
      <Card>
        <ReadFailed title="The board could not be read" error={error} onRetry={() => void refetch()} />
      </Card>
    );
  if (board === undefined) return <Skeleton className="h-64" />;
  if (board.robots.length === 0 || board.tasks.length === 0)
    return (
      <Card>
        <Notice icon={Grid3x3} title="Nothing to assign yet">
          The board needs a robot and a task: enrol one under Robots, define one under Tasks.
        </Notice>
      </Card>
    );
  return <OpenBoard board={board} />;
}

function OpenBoard({ board }: { readonly board: Board }) {
  const refusal = useRefusal("assign");
  const [search, setSearch] = useState("");
  const [opened, setOpened] = useState<Place | null>(null);
  const moves = useMoves();
  const carryOut = (wanted: readonly Move[], told: string) =>
    moves.mutate(wanted, {
      onSuccess: () => notify("done", told),
      onError: (error) => notify("failed", `That was refused. ${changeProblem(error, "this work")}`),
    });
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = board.robots.filter((robot) =>
    words.every((word) => [robot.name, ...robot.tags].some((text) => text.toLowerCase().includes(word))),
  );
  return (
    <div className="flex flex-col gap-4">
      <Suggestions board={board} isBusy={moves.isPending} onMoves={carryOut} />
      <Card className="overflow-hidden">
        <div className="flex flex-wrap items-center gap-3 border-b border-line px-3 py-2">
          <TextField
            label="Find robots by name or tag"
            isLabelHidden
            placeholder="Find robots by name or tag"
            type="search"
            className="w-64"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <p className="text-sm text-ink-muted">
            {refusal ?? "Choose a cell to give or change work. Drag a chip to move it, with Ctrl to copy it."}
          </p>
        </div>
        {shown.length === 0 ? (
          <Notice icon={Grid3x3} title="No robot is called so" />
        ) : (
          <BoardTable robots={shown} tasks={board.tasks} refusal={refusal} isBusy={moves.isPending} onOpen={setOpened} onMoves={carryOut} />
        )}
      </Card>
      {opened === null ? null : <WorkDialog place={opened} onClose={() => setOpened(null)} onMoves={carryOut} />}
    </div>
  );
}
