/** The robot's views: one large, the others small in its corner. Each keeps its element, so that swapping is instant. */

import { TriangleAlert, VideoOff } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";

import { Button } from "@/components/ui/button";
import { Chip } from "@/components/ui/chip";
import { Notice } from "@/components/ui/notice";
import type { CockpitSession, CockpitView } from "@/features/teleop/cockpit-session";
import { FREEZE_MS } from "@/features/teleop/video-watch";
import { cn } from "@/lib/class-names";
import { formatRate } from "@/lib/units/format";

interface StageProps {
  readonly session: CockpitSession;
  readonly view: CockpitView;
  /** Lies over the lower corners: the pads. */
  readonly children?: ReactNode;
}

export function Stage({ session, view, children }: StageProps) {
  const { views, name } = session.record;
  const isDown = view.peer.phase !== "connected" && view.tracks.size === 0;
  const insets = views.map((each) => each.name).filter((each) => each !== view.mainView);
  return (
    <div className="relative h-full min-h-0 overflow-hidden rounded-lg bg-inset" data-testid="stage">
      {views.map(({ name: viewName, width, height }) => {
        const isMain = viewName === view.mainView;
        return (
          <ViewVideo
            key={viewName}
            session={session}
            view={viewName}
            label={`${viewName} view of ${name}`}
            shape={`${width} / ${height}`}
            track={view.tracks.get(viewName) ?? null}
            className={isMain ? "absolute inset-0 size-full object-contain" : cn("absolute right-2 z-10 w-[22%] rounded-md border border-line-strong bg-inset", insetTops[insets.indexOf(viewName)] ?? "top-2")}
          />
        );
      })}
      {isDown ? <NoVideo session={session} view={view} hasViews={views.length > 0} /> : <Freshness view={view} />}
      {children}
    </div>
  );
}

const insetTops = ["top-2", "top-[32%]", "top-[62%]"];

interface ViewVideoProps {
  readonly session: CockpitSession;
  readonly view: string;
  readonly label: string;
  readonly track: MediaStreamTrack | null;
  readonly className: string;
  /** Width by height, so that it has its size before the first picture. */
  readonly shape: string;
}

function ViewVideo({ session, view, label, track, className, shape }: ViewVideoProps) {
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = ref.current;
    if (element === null || track === null) return;
    element.srcObject = new MediaStream([track]);
    // Muted video may start by itself; a refusal shows as "no picture" in the checks.
    element.play().catch(() => undefined);
  }, [track]);
  useEffect(() => (ref.current === null ? undefined : session.watchFrames(view, ref.current)), [session, view]);
  return (
    <video
      ref={ref}
      aria-label={label}
      style={{ aspectRatio: shape }}
      data-testid={`video-${view}`}
      className={cn(className, track === null && "invisible")}
      muted
      autoPlay
      playsInline
      disablePictureInPicture
    />
  );
}

function NoVideo({ session, view, hasViews }: { readonly session: CockpitSession; readonly view: CockpitView; readonly hasViews: boolean }) {
  const isWaiting = view.peer.phase === "dialling";
  const again = <Button onClick={() => session.redial("Connecting again.")}>Connect again</Button>;
  return (
    <div className="absolute inset-0" role="status">
      <Notice icon={VideoOff} title={isWaiting ? "Connecting to the robot" : "No video"} action={isWaiting ? null : again}>
        {hasViews ? view.peer.reason : `This robot shows no live video. ${view.peer.reason}`}
      </Notice>
    </div>
  );
}

/** Says so when the picture is old: an operator must not take a still picture for a robot that stands. */
function Freshness({ view }: { readonly view: CockpitView }) {
  const { ageMs } = view.video;
  const isBroken = view.peer.phase !== "connected";
  if (!isBroken && ageMs <= FREEZE_MS) return null;
  const age = Number.isFinite(ageMs) ? `The picture is ${formatRate(ageMs / 1000, "s")} old` : "No picture yet";
  return (
    <div className="absolute top-2 left-2 z-20 flex max-w-[75%]" data-testid="stale-video">
      <Chip icon={TriangleAlert} tone="caution" className="numeric h-7 text-sm">
        {isBroken ? `${age}. ${view.peer.reason}` : age}
      </Chip>
    </div>
  );
}
