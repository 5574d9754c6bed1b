/** The robots that this tab drives, by name: there may be two panes, and the router asks once before a page is left. */

import { useEffect } from "react";
import { create } from "zustand";

import type { LeaseKeeper } from "@/features/teleop/lease";

type Held = ReadonlyMap<string, LeaseKeeper>;

const useStore = create<{ readonly held: Held }>()(() => ({ held: new Map() }));

/** Count this robot as held while mounted and `isHeld`. */
export function useHeldRobot(name: string, isHeld: boolean, lease: LeaseKeeper): void {
  useEffect(() => {
    if (!isHeld) return;
    useStore.setState(({ held }) => ({ held: new Map(held).set(name, lease) }));
    return () => {
      useStore.setState(({ held }) => ({ held: new Map([...held].filter(([other]) => other !== name)) }));
    };
  }, [name, isHeld, lease]);
}

export const useHeldRobots = (): Held => useStore((store) => store.held);
