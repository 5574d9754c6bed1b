/** Whichever dialog of the cockpit is open. */

import type { OrderKind } from "@/protocol/generated";
import { ReasonDialog } from "@/features/teleop/components/reason-dialog";
import { ShortcutsDialog } from "@/features/teleop/components/shortcuts-dialog";
import type { CockpitSession } from "@/features/teleop/cockpit-session";
import type { CockpitActions } from "@/features/teleop/hooks/use-cockpit-actions";
import type { Situation } from "@/features/teleop/situation";

interface DialogsProps {
  readonly session: CockpitSession;
  readonly situation: Situation;
  readonly actions: CockpitActions;
}

interface OrderWords {
  readonly title: string;
  readonly confirm: string;
  readonly text: string;
  readonly suggestions: readonly string[];
}

const orders: Readonly<Record<OrderKind, OrderWords>> = {
  success: {
    title: "Mark success",
    confirm: "Mark success",
    text: "Ends the episode. Your label counts above what the environment says; both are kept.",
    suggestions: ["done by the policy", "done with help"],
  },
  failure: {
    title: "Mark failure",
    confirm: "Mark failure",
    text: "Ends the episode. Your label counts above what the environment says; both are kept.",
    suggestions: ["dropped the object", "cannot be reached", "collision", "wrong object"],
  },
  restart: {
    title: "Restart the episode",
    confirm: "Restart",
    text: "Ends the episode as aborted and begins the same task with a new scene.",
    suggestions: ["scene cannot be solved", "bad start"],
  },
  end: { title: "End the episode", confirm: "End", text: "Ends the episode as aborted. The next task is drawn as usual.", suggestions: [] },
};

export function Dialogs({ session, situation, actions }: DialogsProps) {
  const { dialog, close, run } = actions;
  const { input, record } = session;
  if (dialog === null) return null;
  if (dialog === "keys") return <ShortcutsDialog input={input} onClose={close} />;
  if (dialog === "take") return <TakeDialog session={session} situation={situation} actions={actions} />;
  if (dialog === "transfer") {
    const confirm = (user: string) => {
      close();
      run(() => session.lease.transfer(user), "Not offered.", `Offered to ${user}. It stays yours until they accept.`);
    };
    return (
      <ReasonDialog
        title={`Offer ${record.name} to somebody`}
        confirm="Offer"
        label="User name"
        isRequired
        value={session.lease.state.askedBy ?? ""}
        input={input}
        onConfirm={confirm}
        onClose={close}
      />
    );
  }
  const { title, confirm, text, suggestions } = orders[dialog];
  const order = (reason: string) => {
    close();
    run(() => session.order(dialog, reason), `${title}: the robot did not do it.`, `${title}: done.`);
  };
  return (
    <ReasonDialog title={title} confirm={confirm} suggestions={suggestions} input={input} onConfirm={order} onClose={close}>
      <p>{text}</p>
    </ReasonDialog>
  );
}

/** Names who loses the robot, and takes it only from the lease that was shown. */
function TakeDialog({ session, situation, actions: { close, run } }: DialogsProps) {
  const { input, record } = session;
  const holder = situation.otherPerson;
  if (holder === null) {
    return (
      <ReasonDialog title={`${record.name} is free now`} confirm="Take over" input={input} onClose={close} onConfirm={(reason) => {
        close();
        run(() => session.lease.acquire(reason), `You did not get ${record.name}.`);
      }}>
        <p>Who drove it has let go meanwhile.</p>
      </ReasonDialog>
    );
  }
  const take = (reason: string) => {
    close();
    run(() => session.lease.take(holder.epoch, reason), `You did not get ${record.name}.`);
  };
  return (
    <ReasonDialog title={`Take ${record.name} from ${holder.operator}`} confirm={`Take from ${holder.operator}`} input={input} onConfirm={take} onClose={close}>
      <p>
        <strong>{holder.operator}</strong> drives {record.name} now and loses it at once; they are told that you took it. Taking from another person
        needs the role of manager.
      </p>
    </ReasonDialog>
  );
}
