/** The camera of a robot in a square that never changes size, with a word when there is no picture. */

import { CameraOff } from "lucide-react";
import { useRef } from "react";

import { useThumbnail } from "@/features/fleet/hooks/use-thumbnail";
import { cn } from "@/lib/class-names";
import type { RobotCard } from "@/protocol/generated";

interface ThumbnailProps {
  readonly robot: RobotCard;
  readonly className: string;
  /** Small ones have no room for words. */
  readonly isSmall?: boolean;
}

export function Thumbnail({ robot, className, isSmall = false }: ThumbnailProps) {
  const ref = useRef<HTMLDivElement>(null);
  const url = useThumbnail(robot.robot_id, robot.thumbnail_ms, ref);
  return (
    <div ref={ref} className={cn("relative aspect-square shrink-0 overflow-hidden bg-inset", className)}>
      {url === null ? (
        <div className="absolute inset-0 flex flex-col items-center justify-center gap-1 text-ink-muted">
          <CameraOff aria-hidden className={isSmall ? "size-4" : "size-5"} strokeWidth={1.5} />
          <span className={isSmall ? "sr-only" : "text-xs"}>No picture</span>
        </div>
      ) : (
        <img
          src={url}
          alt={`Camera of ${robot.name}`}
          className={cn("absolute inset-0 size-full object-cover", !robot.is_online && "opacity-40 grayscale")}
        />
      )}
    </div>
  );
}
