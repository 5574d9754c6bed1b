/** Taking and giving control, what becomes of the episode, and the clearing of a stop. */

import { Button } from "@/components/ui/button";
import { cn } from "@/lib/class-names";
import { useServerNow } from "@/hooks/use-now";
import { SPEEDS } from "@/features/teleop/bindings";
import type { CockpitSession, CockpitView } from "@/features/teleop/cockpit-session";
import type { CockpitActions } from "@/features/teleop/hooks/use-cockpit-actions";
import { type Command, keyOf } from "@/features/teleop/shortcuts";
import type { Situation } from "@/features/teleop/situation";
import { formatDuration, withUnit } from "@/lib/units/format";
import { seconds } from "@/lib/units/quantity";

export interface User {
  readonly username: string;
  readonly permissions: readonly string[];
}

interface ControlsProps {
  readonly session: CockpitSession;
  readonly view: CockpitView;
  readonly situation: Situation;
  readonly actions: CockpitActions;
  readonly isReady: boolean;
  readonly user: User;
}

export function Controls(props: ControlsProps) {
  const { situation, session } = props;
  return (
    <section aria-label={`Control of ${session.record.name}`} data-testid="controls" className="grid grid-cols-1 gap-2">
      {situation.stop === null ? null : <StopNotice {...props} />}
      {situation.isOurs && !situation.needsNewLease ? <Driving {...props} /> : <Taking {...props} />}
    </section>
  );
}

const Key = ({ of }: { readonly of: Command }) => (
  <kbd aria-hidden className="rounded border border-current px-1 text-[0.625rem] leading-3.5 opacity-80">
    {keyOf(of)}
  </kbd>
);

function StopNotice({ situation, actions }: ControlsProps) {
  const { stop } = situation;
  if (stop === null) return null;
  return (
    <div className="flex items-center gap-2 rounded-md bg-fault-tint px-2.5 py-1.5 text-sm text-fault" role="status">
      <p className="min-w-0 grow truncate" title={stop.reason}>
        Stopped by {stop.by || "somebody"}
        {stop.reason ? `: ${stop.reason}` : ""}
      </p>
      <Button onClick={actions.clear}>
        Clear stop <Key of="clear" />
      </Button>
    </div>
  );
}

function Taking({ session, view, situation, actions, isReady, user }: ControlsProps) {
  const { name } = session.record;
  const { otherPerson } = situation;
  const { isAsking, lostBecause, offered } = view.lease;
  const isOffered = offered !== null && offered.epoch === otherPerson?.epoch;
  const isOwnElsewhere = otherPerson?.operator === user.username;
  const mayDrive = user.permissions.includes("drive");
  const mayTake = mayDrive && (otherPerson === null || isOffered || isOwnElsewhere || user.permissions.includes("take"));
  const label = otherPerson === null ? `Take over ${name}` : isOffered ? `Accept from ${offered.by}` : isOwnElsewhere ? `Take over ${name}` : `Take from ${otherPerson.operator}`;
  return (
    <>
      <div className="flex flex-wrap items-center gap-2">
        <Button variant="primary" disabled={!isReady || isAsking || !mayTake} onClick={actions.take} data-testid="take">
          {isAsking ? "Asking" : label} <Key of="take" />
        </Button>
        {otherPerson === null || isOwnElsewhere || isOffered || !mayDrive ? null : (
          <Button onClick={() => actions.run(() => session.lease.askHolder(otherPerson.epoch), "Not asked.", `${otherPerson.operator} was asked.`)}>
            Ask {otherPerson.operator}
          </Button>
        )}
      </div>
      <p className="min-h-4 text-xs text-ink-muted" role="status" data-testid="lease-note">
        {mayDrive ? takingNote(situation, lostBecause, mayTake, isReady) : "Driving needs the role of operator. You may watch and stop."}
      </p>
    </>
  );
}

function takingNote({ otherPerson, needsNewLease, stop, isOurs, mode, detail }: Situation, lostBecause: string, mayTake: boolean, isReady: boolean): string {
  if (lostBecause) return `You do not drive any more. ${lostBecause}`;
  if (!mayTake && otherPerson !== null) return `Taking from ${otherPerson.operator} needs the role of manager or admin. You can ask.`;
  if (stop !== null) return isOurs ? "Yours, and stopped: clear the stop, then let go of everything once." : "Stopped: take over to clear it.";
  if (needsNewLease) return "The robot stood still; take over again to drive.";
  const still = mode === "paused" && detail !== "" ? ` It stands still: ${detail}.` : "";
  return `${isReady ? "Then let go of everything once, and move." : "Waits for the checks below."}${still}`;
}

function Driving({ session, view, situation, actions }: ControlsProps) {
  const hasEpisode = situation.episodeId !== null;
  const order = (command: "success" | "failure" | "restart" | "end", label: string) => (
    <Button disabled={!hasEpisode} onClick={() => actions.open(command)} className="grow">
      {label} <Key of={command} />
    </Button>
  );
  return (
    <>
      <div className="flex flex-wrap items-center gap-2">
        <Button variant="primary" onClick={actions.handBack} data-testid="hand-back">
          Hand back <Key of="hand-back" />
        </Button>
        <Button onClick={() => actions.open("transfer")}>Offer to …</Button>
      </div>
      <ControlNote view={view} />
      {view.lease.askedBy === null ? null : (
        <p className="text-sm text-assist" role="status">
          {view.lease.askedBy} would like to drive.
        </p>
      )}
      <div className="grid grid-cols-2 gap-1.5">
        {order("success", "Success")}
        {order("failure", "Failure")}
        {order("restart", "Restart")}
        {order("end", "End")}
      </div>
      <Speeds session={session} level={view.input.speed} />
      <p className="min-h-4 truncate text-xs text-ink-muted" role="status" data-testid="input-note">
        {inputNote(view, situation)}
      </p>
    </>
  );
}

function inputNote({ input }: CockpitView, { isArmed, mode }: Situation): string {
  if (input.isWaiting) return `Let go of keys, pads and sticks${input.because ? `: ${input.because}` : ""}.`;
  if (!isArmed) return mode === "handover" ? "The robot waits for input at rest." : "The robot does not take commands yet.";
  return input.gamepadId === null ? "Keyboard and pads drive." : `Keyboard, pads and ${input.gamepadId} drive.`;
}

function ControlNote({ view }: { readonly view: CockpitView }) {
  const now = useServerNow();
  const { lease } = view.lease;
  if (lease === null) return <p className="h-4" />;
  const left = Math.max(0, (lease.expires_ms - now) / 1000);
  // A renewal in time leaves more than this: below it the server has not answered.
  const isLate = left < lease.renew_s;
  const meaning = "Without the server control ends within seconds: the robot then stands still and waits for a person.";
  return (
    <p className={cn("numeric h-4 text-xs", isLate ? "font-medium text-caution" : "text-ink-muted")} data-testid="lease" title={meaning}>
      {isLate ? `The server is silent: control is yours for ${formatDuration(seconds(left))} more` : "Control is yours while this page reaches the server"}
    </p>
  );
}

function Speeds({ session, level }: { readonly session: CockpitSession; readonly level: number }) {
  return (
    <div role="group" aria-label="Speed" className="flex items-center gap-1">
      <span className="mr-1 text-xs text-ink-muted">Speed</span>
      {SPEEDS.map((share, index) => (
        <Button
          key={share}
          aria-pressed={index === level}
          className="numeric h-7 grow aria-pressed:border-ink aria-pressed:bg-inset aria-pressed:font-semibold"
          onClick={() => session.input.setSpeed(index)}
        >
          {withUnit(`${share * 100}`, "%")}
        </Button>
      ))}
    </div>
  );
}
