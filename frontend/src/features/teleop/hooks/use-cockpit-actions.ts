/** What the operator can do, for buttons and keys alike: one dialog at a time, failures in words, focus back on the pane. */

import { type RefObject, useEffect, useState } from "react";

import { notify } from "@/components/ui/toast";
import { RefusedError } from "@/lib/socket/requests";
import type { CockpitSession } from "@/features/teleop/cockpit-session";
import type { Situation } from "@/features/teleop/situation";
import type { Command } from "@/features/teleop/shortcuts";

export type OpenDialog = "take" | "success" | "failure" | "restart" | "end" | "transfer" | "keys";

export interface CockpitActions {
  readonly dialog: OpenDialog | null;
  readonly open: (dialog: OpenDialog) => void;
  readonly close: () => void;
  /** Do something, say so if it fails, and put the focus back on the pane. */
  readonly run: (action: () => Promise<void>, failed: string, done?: string) => void;
  /** Take over at once if nobody else drives, else ask first. */
  readonly take: () => void;
  readonly handBack: () => void;
  readonly stop: () => void;
  readonly clear: () => void;
  readonly command: (command: Command) => void;
}

interface ActionsInput {
  readonly session: CockpitSession;
  readonly situation: Situation;
  readonly isReady: boolean;
  readonly username: string;
  readonly pane: RefObject<HTMLElement | null>;
}

export function useCockpitActions({ session, situation, isReady, username, pane }: ActionsInput): CockpitActions {
  const [dialog, setDialog] = useState<OpenDialog | null>(null);
  const focusPane = () => pane.current?.focus();
  useEffect(() => {
    // Only once the dialog is gone: while it is open, nothing else takes the focus.
    const element = pane.current;
    return dialog === null ? undefined : () => element?.focus();
  }, [dialog, pane]);
  const run: CockpitActions["run"] = (action, failed, done) => {
    focusPane();
    action().then(
      () => {
        if (done !== undefined) notify("done", done);
      },
      (error: unknown) => notify("failed", `${failed} ${error instanceof Error ? error.message : ""}`),
    );
  };
  const { name } = session.record;
  const close = () => setDialog(null);
  const take = () => {
    if (!isReady || session.lease.state.isAsking) return;
    const { offered } = session.lease.state;
    if (situation.otherPerson === null) run(() => session.lease.acquire(""), `You did not get ${name}.`);
    else if (situation.otherPerson.operator === username) run(acquireOwn, `You did not get ${name}.`);
    else if (offered?.epoch === situation.otherPerson.epoch) run(() => session.lease.take(offered.epoch, "offered"), `You did not get ${name}.`);
    else setDialog("take");
  };
  /** Before a reload it was this tab's: then the server grants it at once. Another tab's is taken by confirming. */
  const acquireOwn = async () => {
    try {
      await session.lease.acquire("");
    } catch (error) {
      if (!(error instanceof RefusedError) || error.code !== "lease_held") throw error;
      setDialog("take");
    }
  };
  const handBack = () => {
    if (situation.isOurs) run(() => session.lease.release("handed back"), `${name} was not handed back.`);
  };
  const stop = () => {
    focusPane();
    void session.stop("stopped in the cockpit");
  };
  const clear = () => {
    const found = situation.stop;
    if (found !== null) run(() => session.clearStop(found.stopId), "The stop was not cleared.", "The stop is cleared; the robot stays still.");
  };
  const command = (wanted: Command) => {
    const openIfOurs = (which: OpenDialog) => situation.isOurs && situation.episodeId !== null && setDialog(which);
    const acts: Readonly<Record<Command, () => void>> = {
      stop,
      take: () => (!situation.isOurs || situation.needsNewLease) && take(),
      "hand-back": handBack,
      swap: () => session.swapViews(),
      success: () => openIfOurs("success"),
      failure: () => openIfOurs("failure"),
      restart: () => openIfOurs("restart"),
      end: () => openIfOurs("end"),
      clear,
      help: () => setDialog("keys"),
    };
    acts[wanted]();
  };
  return { dialog, open: setDialog, close, run, take, handBack, stop, clear, command };
}
