/**
 * Plays an episode: one frame for all cameras, the scrubber and the plots.
 *
 * Row k of the steps belongs to frame k of every video, which is shown from k / rate on; to be sure of the frame in
 * spite of rounding, a still picture is taken from its middle. The first video that can play is the clock, the others
 * follow it; without videos the wall clock is.
 */

import { useCallback, useEffect, useRef, useState } from "react";

export const SPEEDS = [0.25, 0.5, 1, 2, 4] as const;

export interface Player {
  readonly frame: number;
  readonly isPlaying: boolean;
  readonly speed: number;
  readonly seek: (frame: number) => void;
  readonly toggle: () => void;
  readonly setSpeed: (speed: number) => void;
  /** Give each camera's element while it is there. */
  readonly attach: (name: string, video: HTMLVideoElement | null) => void;
}

interface PlayerOptions {
  readonly steps: number;
  readonly rateHz: number;
  readonly first: number;
}

const HAS_PICTURE = 2; // HTMLMediaElement.HAVE_CURRENT_DATA

export function usePlayer({ steps, rateHz, first }: PlayerOptions): Player {
  const last = steps - 1;
  const [frame, setFrame] = useState(Math.min(last, Math.max(0, first)));
  const [isPlaying, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const videos = useRef(new Map<string, HTMLVideoElement>());
  const shown = useRef(frame);

  const show = useCallback(
    (wanted: number) => {
      shown.current = Math.min(last, Math.max(0, Math.round(wanted)));
      setFrame(shown.current);
      return shown.current;
    },
    [last],
  );
  const seek = useCallback(
    (wanted: number) => {
      const at = show(wanted);
      for (const video of videos.current.values()) video.currentTime = (at + 0.5) / rateHz;
    },
    [show, rateHz],
  );
  const attach = useCallback(
    (name: string, video: HTMLVideoElement | null) => {
      if (video === null) videos.current.delete(name);
      else {
        videos.current.set(name, video);
        video.currentTime = (shown.current + 0.5) / rateHz;
      }
    },
    [rateHz],
  );
  const toggle = () => {
    if (!isPlaying && frame === last) seek(0);
    setPlaying(!isPlaying);
  };

  useEffect(() => {
    if (!isPlaying) return;
    const all = videos.current;
    // A browser may refuse, as for a damaged file; the clock then goes on without that video.
    for (const video of all.values()) {
      video.playbackRate = speed;
      video.play().catch(() => undefined);
    }
    let begun = performance.now();
    let from = shown.current;
    const tick = () => {
      const clock = [...all.values()].find((video) => video.readyState >= HAS_PICTURE && !video.paused && !video.ended);
      let at: number;
      if (clock === undefined) {
        at = from + Math.floor(((performance.now() - begun) / 1000) * speed * rateHz);
      } else {
        at = Math.floor(clock.currentTime * rateHz);
        for (const video of all.values()) {
          if (video !== clock && Math.abs(video.currentTime - clock.currentTime) > 1 / rateHz) video.currentTime = clock.currentTime;
        }
        begun = performance.now();
        from = at;
      }
      show(at);
      if (at >= last) setPlaying(false);
      else request = requestAnimationFrame(tick);
    };
    let request = requestAnimationFrame(tick);
    return () => {
      cancelAnimationFrame(request);
      for (const video of all.values()) {
        video.pause();
        video.currentTime = (shown.current + 0.5) / rateHz;
      }
    };
  }, [isPlaying, speed, rateHz, last, show]);

  return { frame, isPlaying, speed, seek, toggle, setSpeed, attach };
}
