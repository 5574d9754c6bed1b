/** Which robot would help which task most: the task whose success is known least well comes first. */

import { Lightbulb } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { type Board, type Move, plain, versionAt } from "@/features/assignments/api/board";

interface SuggestionsProps {
  readonly board: Board;
  /** Moves are on their way. */
  readonly isBusy: boolean;
  readonly onMoves: (moves: readonly Move[], told: string) => void;
}

export function Suggestions({ board, isBusy, onMoves }: SuggestionsProps) {
  return (
    <Panel title="Balance">
      {board.suggestions.length === 0 ? (
        <p className="text-sm text-ink-muted">
          Nothing to suggest: every task&apos;s success is known to within 10 points, or no free robot can help.
        </p>
      ) : (
        <ul className="flex flex-col gap-1.5">
          {board.suggestions.map((suggestion) => {
            const task = board.tasks.find(({ slug }) => slug === suggestion.task);
            const robot = { id: suggestion.robot, name: suggestion.robot_name };
            const give = () => {
              if (task === undefined) return;
              const version = versionAt(
                board.robots.find(({ id }) => id === robot.id),
                task,
              );
              onMoves([{ robot, task, terms: plain, version }], `${robot.name} works at ${task.slug} as well.`);
            };
            return (
              <li key={suggestion.task} className="flex flex-wrap items-center gap-x-3 gap-y-1 text-sm">
                <Lightbulb aria-hidden className="size-4 shrink-0 text-ink-muted" />
                <span className="grow">{suggestion.text}</span>
                <Button needs="assign" disabled={isBusy} onClick={give} aria-label={`Assign ${robot.name} to ${suggestion.task}`}>
                  Assign
                </Button>
              </li>
            );
          })}
        </ul>
      )}
    </Panel>
  );
}
