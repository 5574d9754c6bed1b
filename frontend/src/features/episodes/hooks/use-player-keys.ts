/** The keyboard of the episode page. Keys that a field or button needs stay theirs. */

import { useEffect } from "react";

import { type Player, SPEEDS } from "@/features/episodes/hooks/use-player";
import { takeoverFrom } from "@/features/episodes/takeovers";

const MANY = 10;
const TYPING = "input, textarea, select, dialog";
const PRESSING = "button, a, summary";

export function usePlayerKeys(player: Omit<Player, "attach">, starts: readonly number[], last: number): void {
  const { frame, seek, toggle, speed, setSpeed } = player;
  useEffect(() => {
    const faster = (direction: 1 | -1) => {
      const place = SPEEDS.findIndex((each) => each === speed);
      setSpeed(SPEEDS[place + direction] ?? speed);
    };
    const toTakeover = (direction: 1 | -1) => {
      const start = takeoverFrom(starts, frame, direction);
      if (start !== null) seek(start);
    };
    const actions: Readonly<Record<string, (isShift: boolean) => void>> = {
      " ": toggle,
      ArrowLeft: (isShift) => seek(frame - (isShift ? MANY : 1)),
      ArrowRight: (isShift) => seek(frame + (isShift ? MANY : 1)),
      Home: () => seek(0),
      End: () => seek(last),
      n: () => toTakeover(1),
      p: () => toTakeover(-1),
      "<": () => faster(-1),
      ">": () => faster(1),
    };
    const onKey = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      const action = actions[event.key];
      if (action === undefined || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (target?.closest(TYPING) || (event.key === " " && target?.closest(PRESSING))) return;
      event.preventDefault();
      action(event.shiftKey);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [frame, seek, toggle, speed, setSpeed, starts, last]);
}
