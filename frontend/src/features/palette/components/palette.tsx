/**
 * The command palette: a combobox over a list (ARIA's pattern with the focus staying in the field), in the browser's
 * own dialog. Pages and actions come from the app, robots from the live link, the rest from the server.
 */

import { Search } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router";

import { useFound } from "@/features/palette/api/search";
import { type PaletteEntry, ranked } from "@/features/palette/entries";
import { recentEntries, rememberEntry } from "@/features/palette/recent";
import { useSettled } from "@/hooks/use-settled";
import { cn } from "@/lib/class-names";
import { useRobots } from "@/lib/socket/fleet-store";

interface PaletteProps {
  /** Pages and actions that this person may use. */
  readonly entries: readonly PaletteEntry[];
  readonly person: string;
  readonly onClose: () => void;
}

export function Palette({ entries, person, onClose }: PaletteProps) {
  const id = useId();
  const dialogRef = useRef<HTMLDialogElement>(null);
  // As in Dialog: a text that is marked by dragging out of it ends in a click outside, too.
  const isPressedOutside = useRef(false);
  const navigate = useNavigate();
  const [typed, setTyped] = useState("");
  const [active, setActive] = useState(0);
  const found = useFound(useSettled(typed));
  const robots = useRobotEntries();
  const recent = useMemo(() => recentEntries(person), [person]);
  const shown = ranked(typed, [...entries, ...robots, ...found.entries, ...searchFor(typed)], recent);
  const at = Math.min(active, shown.length - 1);

  useEffect(() => {
    const dialog = dialogRef.current;
    if (dialog !== null && !dialog.open) dialog.showModal();
  }, []);
  useEffect(() => {
    // In braces: newer browsers return a promise, which React would take for the effect's end.
    document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [id, at]);

  const choose = (entry: PaletteEntry | undefined) => {
    if (entry === undefined) return;
    rememberEntry(person, entry);
    dialogRef.current?.close();
    if (entry.to === undefined) entry.run?.();
    else void navigate(entry.to);
  };
  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (event.key === "Enter") choose(shown[at]);
    else if (step !== undefined) setActive(stepped(at, step, shown.length));
    else return;
    event.preventDefault();
  };
  return (
    <dialog
      ref={dialogRef}
      aria-label="Go to or do"
      onClose={onClose}
      onPointerDown={(event) => {
        isPressedOutside.current = event.target === event.currentTarget;
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget && isPressedOutside.current) event.currentTarget.close();
      }}
      className="mx-auto mt-[10dvh] w-[min(36rem,calc(100vw-2rem))] overflow-hidden rounded-xl border border-line bg-surface p-0 text-ink shadow-overlay"
    >
      <div className="flex items-center gap-2.5 border-b border-line px-4">
        <Search aria-hidden className="size-4 shrink-0 text-ink-muted" />
        <input
          role="combobox"
          aria-label="Page, robot, task, version, dataset, episode or action"
          aria-expanded={shown.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={shown.length === 0 ? undefined : `${id}-${at}`}
          placeholder="Go to a page, robot, task, version, dataset, or an episode by its id"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus
          maxLength={100}
          className="h-12 w-full bg-transparent text-sm outline-none placeholder:text-ink-muted"
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            setActive(0);
          }}
          onKeyDown={move}
        />
      </div>
      <ul role="listbox" id={`${id}-list`} aria-label="What fits" className="max-h-[60dvh] overflow-y-auto p-1.5 empty:hidden">
        {shown.map((entry, index) => (
          <li
            key={entry.id}
            role="option"
            id={`${id}-${index}`}
            aria-selected={index === at}
            onClick={() => choose(entry)}
            onPointerMove={() => setActive(index)}
            className={cn("flex cursor-pointer items-baseline gap-3 rounded-md px-2.5 py-2 text-sm", index === at && "bg-inset")}
          >
            <span className="min-w-0 grow truncate">{entry.label}</span>
            <span className="shrink-0 text-xs text-ink-muted">{entry.kind}</span>
          </li>
        ))}
      </ul>
      <p role="status" className={cn("px-4 text-sm text-ink-muted", shown.length === 0 || found.problem !== "" ? "py-3" : "sr-only")}>
        {statusText(shown.length, found.isBusy)} {found.problem}
      </p>
    </dialog>
  );
}

const statusText = (count: number, isBusy: boolean) => (count > 0 ? `${count} found.` : isBusy ? "Searching." : "Nothing fits.");

/** By one it goes round; by more it stops at the ends. */
function stepped(at: number, step: number, length: number): number {
  if (length === 0) return 0;
  return Math.abs(step) === 1 ? (at + step + length) % length : Math.max(0, Math.min(length - 1, at + step));
}

/** What was typed may stand in an episode's tags or comments, which only the library searches. */
function searchFor(typed: string): readonly PaletteEntry[] {
  const text = typed.trim();
  if (text === "") return [];
  return [{ id: "search/episodes", label: `Search episodes for “${text}”`, kind: "Search", to: `/episodes?text=${encodeURIComponent(text)}` }];
}

function useRobotEntries(): readonly PaletteEntry[] {
  const robots = useRobots();
  return useMemo(
    () =>
      [...robots.values()].map((robot) => ({
        id: `robot/${robot.robot_id}`,
        label: robot.name,
        kind: "Robot",
        words: `robot ${robot.name} ${robot.robot_id}`,
        to: `/teleop/${robot.robot_id}`,
      })),
    [robots],
  );
}
