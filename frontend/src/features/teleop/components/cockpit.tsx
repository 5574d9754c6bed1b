/** One robot: its picture, its numbers, and everything that a person can do with it. Keys count while the focus is inside. */

import { Bot, CirclePause, Hand, type LucideIcon, OctagonX, Radio, RefreshCw, WifiOff } from "lucide-react";
import { useEffect, useEffectEvent, useRef } from "react";

import { Button } from "@/components/ui/button";
import { Chip, type Tone } from "@/components/ui/chip";
import type { RobotCard } from "@/protocol/generated";
import type { RobotRecord } from "@/features/teleop/api/robot";
import { checksOf, isReady } from "@/features/teleop/checks";
import type { CockpitView } from "@/features/teleop/cockpit-session";
import { AxisBars } from "@/features/teleop/components/axis-bars";
import { CheckList } from "@/features/teleop/components/check-list";
import { Controls, type User } from "@/features/teleop/components/controls";
import { Dialogs } from "@/features/teleop/components/dialogs";
import { DragPads } from "@/features/teleop/components/drag-pads";
import { Hud } from "@/features/teleop/components/hud";
import { Stage } from "@/features/teleop/components/stage";
import { StopButton } from "@/features/teleop/components/stop-button";
import { TimelineBar } from "@/features/teleop/components/timeline-bar";
import { useCockpitActions } from "@/features/teleop/hooks/use-cockpit-actions";
import { useCockpitSession, useCockpitView } from "@/features/teleop/hooks/use-cockpit-session";
import { useHeldRobot } from "@/features/teleop/hooks/use-held-robots";
import { listen } from "@/features/teleop/input-listeners";
import { commandOf } from "@/features/teleop/shortcuts";
import { type Situation, situationOf } from "@/features/teleop/situation";
import { cn } from "@/lib/class-names";

interface CockpitProps {
  readonly record: RobotRecord;
  readonly card: RobotCard | null;
  readonly user: User;
  /** One of two side by side. */
  readonly isCompact: boolean;
  readonly hasFirstFocus: boolean;
}

export function Cockpit({ record, card, user, isCompact, hasFirstFocus }: CockpitProps) {
  const session = useCockpitSession(record);
  const view = useCockpitView(session);
  const pane = useRef<HTMLElement>(null);
  const situation = situationOf(view, card, user.username, record.controlRateHz);
  const checks = checksOf(checkInput(view, card, record.name, situation));
  const ready = isReady(checks);
  const actions = useCockpitActions({ session, situation, isReady: ready, username: user.username, pane });
  const isDriving = situation.isOurs && !situation.needsNewLease;

  const onCommand = useEffectEvent((event: KeyboardEvent) => {
    const command = commandOf(event);
    if (command !== null) actions.command(command);
    return command !== null;
  });
  const onStop = useEffectEvent(() => actions.command("stop"));
  const drives = useEffectEvent(() => isDriving);
  useEffect(() => {
    const element = pane.current;
    if (element === null) return;
    if (hasFirstFocus) element.focus();
    return listen(element, session.input, {
      onCommand: (event) => onCommand(event),
      onStop: () => onStop(),
      isDriving: () => drives(),
    });
  }, [session, hasFirstFocus]);

  useHeldRobot(record.name, situation.isOurs, session.lease);
  const isOnline = card?.is_online;
  useEffect(() => {
    if (isOnline !== undefined) session.noteOnline(isOnline);
  }, [isOnline, session]);

  return (
    <section
      ref={pane}
      aria-label={`Cockpit of ${record.name}`}
      data-testid={`cockpit-${record.name}`}
      data-mode={situation.mode}
      data-armed={situation.isArmed}
      tabIndex={-1}
      onFocus={() => session.claimGamepad()}
      className="grid h-[calc(100dvh-4.5rem)] min-h-150 min-w-0 grid-cols-1 grid-rows-[auto_minmax(0,1fr)] gap-2 rounded-lg outline-offset-4 max-md:h-auto"
    >
      <header className="flex min-w-0 items-center gap-2 max-md:flex-wrap">
        <h2 className="truncate text-lg font-semibold">{record.name}</h2>
        <div role="status" aria-label="Who drives" className="flex min-w-0 grow" data-testid="mode">
          <Chip icon={iconOf(situation)} tone={situation.tone}>
            {situation.headline}
          </Chip>
        </div>
        <PeerChip view={view} />
        <Button variant="quiet" onClick={() => actions.open("keys")} aria-label="Keys">
          Keys <kbd aria-hidden>?</kbd>
        </Button>
        <StopButton name={record.name} state={view.stop} onStop={actions.stop} />
      </header>
      <div className={cn("grid min-h-0 gap-2", isCompact ? "grid-cols-1 grid-rows-[minmax(0,1fr)_auto]" : "grid-cols-1 md:grid-cols-[minmax(0,1fr)_22rem]")}>
        <div className="grid min-h-0 min-w-0 grid-cols-1 grid-rows-[minmax(0,1fr)_auto_auto] gap-2 max-md:grid-rows-[20rem_auto_auto]">
          <Stage session={session} view={view}>
            {isDriving ? <DragPads input={session.input} /> : null}
          </Stage>
          <Hud view={view} isCompact={isCompact} robot={record.name} />
          <TimelineBar
            timeline={view.timeline}
            situation={situation}
            task={card?.task ?? ""}
            instruction={card?.instruction ?? ""}
            robot={record.name}
          />
        </div>
        <div
          className={cn(
            "min-h-0 rounded-lg border border-line bg-surface p-3",
            isCompact ? "grid grid-cols-2 gap-3" : "relative flex flex-col gap-3 overflow-y-auto",
          )}
        >
          <div className="grid min-w-0 grid-cols-1 content-start gap-3">
            <Controls session={session} view={view} situation={situation} actions={actions} isReady={ready} user={user} />
            {isDriving ? null : <CheckList checks={checks} isCompact={isCompact} robot={record.name} />}
          </div>
          <AxisBars names={record.actionNames} view={view} isDriving={isDriving} robot={record.name} hasLegend={!isCompact} />
          {isCompact ? null : <Disclaimer />}
        </div>
      </div>
      <Dialogs session={session} situation={situation} actions={actions} />
    </section>
  );
}

function checkInput(view: CockpitView, card: RobotCard | null, recordName: string, situation: Situation) {
  const isPeerConnected = view.peer.phase === "connected";
  return {
    card,
    recordName,
    isPeerConnected,
    peerReason: view.peer.reason,
    peerEpisodeId: isPeerConnected ? view.feedback?.episode_id : undefined,
    videoAgeMs: view.video.ageMs,
    canSeeFrames: "requestVideoFrameCallback" in HTMLVideoElement.prototype,
    rttMs: isPeerConnected ? (view.feedback?.rtt_ms ?? null) : null,
    isAtRest: view.input.isAtRest,
    isStopped: situation.stop !== null || situation.mode === "stopped",
  };
}

const icons: Readonly<Record<Situation["mode"], LucideIcon>> = {
  autonomous: Bot,
  handover: Hand,
  teleop: Hand,
  paused: CirclePause,
  stopped: OctagonX,
};

const iconOf = ({ mode, stop, headline }: Situation): LucideIcon => (headline === "Offline" ? WifiOff : stop !== null ? OctagonX : icons[mode]);

const peerWords: Readonly<Record<CockpitView["peer"]["phase"], { text: string; icon: LucideIcon; tone: Tone }>> = {
  dialling: { text: "Connecting", icon: RefreshCw, tone: "neutral" },
  connected: { text: "Direct", icon: Radio, tone: "neutral" },
  redialling: { text: "Reconnecting", icon: RefreshCw, tone: "caution" },
  refused: { text: "No connection", icon: WifiOff, tone: "caution" },
  closed: { text: "Closed", icon: WifiOff, tone: "neutral" },
};

function PeerChip({ view: { peer } }: { readonly view: CockpitView }) {
  const { text, icon, tone } = peerWords[peer.phase];
  return (
    <div role="status" aria-label="Connection to the robot" title={peer.reason} className="hidden md:flex" data-testid="peer" data-phase={peer.phase}>
      <Chip icon={icon} tone={tone}>
        {text}
      </Chip>
    </div>
  );
}

function Disclaimer() {
  return (
    <p className="mt-auto text-xs text-ink-muted">
      STOP here travels through a browser and a network. It is not a safety-rated emergency stop; somebody at the robot needs one.
    </p>
  );
}
