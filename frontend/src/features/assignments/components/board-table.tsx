/** The table of the board. Arrow keys go from cell to cell, Enter opens one; dragging does what the dialog does. */

import { Clock, Plus, TriangleAlert } from "lucide-react";
import { type DragEvent, type KeyboardEvent, useState } from "react";

import { Table } from "@/components/ui/table";
import { type BoardRobot, type BoardTask, type Move, plain, versionAt, type Work } from "@/features/assignments/api/board";
import { cannot, hoursWords, shareOf } from "@/features/assignments/board-words";
import type { Place } from "@/features/assignments/components/assignment-board";
import { cn } from "@/lib/class-names";
import { formatProportion } from "@/lib/units/interval";
import { fraction } from "@/lib/units/quantity";

interface BoardTableProps {
  readonly robots: readonly BoardRobot[];
  readonly tasks: readonly BoardTask[];
  /** Why this person may not assign; null if they may. */
  readonly refusal: string | null;
  /** Moves are on their way. */
  readonly isBusy: boolean;
  readonly onOpen: (place: Place) => void;
  readonly onMoves: (moves: readonly Move[], told: string) => void;
}

interface Dragged extends Place {
  readonly work: Work;
}

export function BoardTable({ robots, tasks, refusal, isBusy, onOpen, onMoves }: BoardTableProps) {
  const [dragged, setDragged] = useState<Dragged | null>(null);
  const columns = [{ key: "robot", label: "Robot" }, ...tasks.map((task) => ({ key: task.id, label: task.slug }))];
  const drop = (to: Place, isCopy: boolean) => {
    if (dragged === null || (dragged.robot.id === to.robot.id && dragged.task.id === to.task.id)) return;
    const given: Move = { ...to, terms: termsOf(dragged.work), version: versionAt(to.robot, to.task) };
    const ended: Move = { robot: dragged.robot, task: dragged.task, terms: null, version: dragged.work.version };
    onMoves(isCopy ? [given] : [given, ended], `${to.robot.name} works at ${to.task.slug}${isCopy ? " as well" : ""}.`);
  };
  return (
    <Table caption="Which robot works at which task" columns={columns} className="max-h-[70dvh]">
      <tr className="text-xs text-ink-muted">
        <th scope="row" className="border-b border-line px-2.5 py-1.5 text-left font-normal">
          Autonomous success, 7 days
        </th>
        {tasks.map((task) => (
          <td key={task.id} className="numeric border-b border-line px-2.5 py-1.5">
            {successWords(task)}
          </td>
        ))}
      </tr>
      {robots.map((robot, row) => (
        <tr key={robot.id}>
          <th scope="row" className="min-w-40 border-b border-line px-2.5 py-1.5 text-left font-medium">
            {robot.name}
            <span className="block text-xs font-normal text-ink-muted">{robot.problem?.text ?? "Working"}</span>
          </th>
          {tasks.map((task, column) => (
            <td key={task.id} className="border-b border-line p-1">
              <BoardCell
                place={{ robot, task }}
                at={[row, column]}
                refusal={refusal}
                isBusy={isBusy}
                isTarget={dragged !== null && !cannot(robot, task)}
                onOpen={onOpen}
                onDrag={setDragged}
                onDrop={drop}
              />
            </td>
          ))}
        </tr>
      ))}
    </Table>
  );
}

const termsOf = ({ weight, priority, windows, time_zone }: Work) => ({ ...plain, weight, priority, windows, time_zone });

const successWords = ({ success }: BoardTask): string =>
  success === null
    ? "No episode"
    : formatProportion({ ...success, rate: fraction(success.rate), low: fraction(success.low), high: fraction(success.high) });

interface BoardCellProps {
  readonly place: Place;
  readonly at: readonly [number, number];
  readonly refusal: string | null;
  readonly isBusy: boolean;
  readonly isTarget: boolean;
  readonly onOpen: (place: Place) => void;
  readonly onDrag: (dragged: Dragged | null) => void;
  readonly onDrop: (to: Place, isCopy: boolean) => void;
}

function BoardCell({ place, at, refusal, isBusy, isTarget, onOpen, onDrag, onDrop }: BoardCellProps) {
  const { robot, task } = place;
  const work = robot.assignments.find((each) => each.task === task.slug);
  const isBarred = work === undefined && cannot(robot, task);
  const canEdit = refusal === null && !isBusy;
  const hover = (event: DragEvent) => {
    if (!isTarget) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = event.ctrlKey ? "copy" : "move";
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    onDrop(place, event.ctrlKey);
  };
  return (
    <button
      type="button"
      data-cell={at.join("-")}
      disabled={!canEdit || isBarred}
      draggable={canEdit && work !== undefined}
      onDragStart={(event) => {
        event.dataTransfer.effectAllowed = "copyMove";
        event.dataTransfer.setData("text/plain", `${robot.name}: ${task.slug}`);
        if (work !== undefined) onDrag({ ...place, work });
      }}
      onDragEnd={() => onDrag(null)}
      onDragOver={hover}
      onDrop={drop}
      onKeyDown={(event) => moveFocus(event, at)}
      onClick={() => onOpen(place)}
      aria-label={`${robot.name}, ${task.slug}: ${cellWords(place, work, isBarred)}`}
      title={work?.problem?.text ?? (isBarred ? "The robot's driver does not offer this task." : (refusal ?? undefined))}
      className={cn(
        "group flex h-9 w-full min-w-28 items-center justify-center gap-1.5 rounded-md border px-2 text-xs",
        work === undefined ? "border-transparent text-ink-muted" : "border-line-strong bg-raised font-medium",
        work !== undefined && !work.is_active && "border-dashed font-normal text-ink-muted",
        isTarget && "border-dashed border-ink-muted",
        canEdit && !isBarred && "hover:border-ink-muted",
      )}
    >
      {work === undefined ? <EmptyCell isBarred={isBarred} /> : <WorkCell work={work} robot={robot} />}
    </button>
  );
}

function EmptyCell({ isBarred }: { readonly isBarred: boolean }) {
  if (isBarred) return <span aria-hidden>cannot</span>;
  return <Plus aria-hidden className="size-3.5 opacity-40 group-hover:opacity-100 group-focus-visible:opacity-100" />;
}

const WorkCell = ({ work, robot }: { readonly work: Work; readonly robot: BoardRobot }) => (
  <>
    {work.problem?.code === "capability_missing" ? <TriangleAlert aria-hidden className="size-3.5 text-caution" /> : null}
    {work.windows.length === 0 ? null : <Clock aria-hidden className="size-3.5" />}
    <span className="numeric">{shareOf(work, robot)}</span>
    {work.priority === 0 ? null : <span className="numeric text-ink-muted">priority {work.priority}</span>}
  </>
);

function cellWords({ robot }: Place, work: Work | undefined, isBarred: boolean): string {
  if (isBarred) return "cannot, its driver does not offer it";
  if (work === undefined) return "no work";
  const state = work.is_active ? `works at it, ${shareOf(work, robot)} of its episodes` : (work.problem?.text ?? "waits");
  return `${state}. Priority ${work.priority}. ${hoursWords(work)}.`;
}

/** Arrow keys go to the next cell that can be chosen. */
function moveFocus(event: KeyboardEvent<HTMLElement>, [row, column]: readonly [number, number]): void {
  const steps: Readonly<Record<string, readonly [number, number]>> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
  };
  const step = steps[event.key];
  const table = event.currentTarget.closest("table");
  if (step === undefined || table === null) return;
  event.preventDefault();
  let [nextRow, nextColumn] = [row + step[0], column + step[1]];
  for (;;) {
    const cell = table.querySelector<HTMLButtonElement>(`[data-cell="${nextRow}-${nextColumn}"]`);
    if (cell === null) return;
    if (!cell.disabled) {
      cell.focus();
      return;
    }
    [nextRow, nextColumn] = [nextRow + step[0], nextColumn + step[1]];
  }
}

