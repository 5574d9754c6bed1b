/**
 * Plays two episodes in step: one playhead, and each video at the frame that belongs to it.
 *
 * The wall clock leads. A video plays by itself while the playhead is within its episode, and is set right when it strays
 * by more than a frame; before its beginning and after its end it stands at its first or last frame.
 */

import { useCallback, useEffect, useRef, useState } from "react";

import type { Pair, Side } from "@/features/episodes/episode-pair";
import { placeIn } from "@/features/episodes/episode-pair";
import type { Player } from "@/features/episodes/hooks/use-player";

const STRAYED_FRAMES = 1.5;

interface PairPlayer extends Omit<Player, "attach"> {
  readonly attach: Readonly<Record<Side, Player["attach"]>>;
}

export function usePairPlayer(pair: Pair, first: number): PairPlayer {
  const last = pair.length - 1;
  const [wanted, setWanted] = useState(Math.max(0, first));
  const [isPlaying, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const videos = useRef(new Map<HTMLVideoElement, Side>());
  const names = useRef(new Map<string, HTMLVideoElement>());
  const frame = Math.min(last, wanted);
  const shown = useRef(frame);

  const still = useCallback(
    (video: HTMLVideoElement, side: Side) => {
      const { rateHz } = pair.parts[side];
      video.currentTime = (placeIn(pair.parts[side], shown.current).frame + 0.5) / rateHz;
    },
    [pair],
  );
  const seek = useCallback(
    (to: number) => {
      shown.current = Math.min(last, Math.max(0, Math.round(to)));
      setWanted(shown.current);
      for (const [video, side] of videos.current) still(video, side);
    },
    [last, still],
  );
  const attachTo = useCallback(
    (side: Side, name: string, video: HTMLVideoElement | null) => {
      const key = `${side} ${name}`;
      const before = names.current.get(key);
      if (before !== undefined) videos.current.delete(before);
      if (video === null) names.current.delete(key);
      else {
        names.current.set(key, video);
        videos.current.set(video, side);
        still(video, side);
      }
    },
    [still],
  );
  const attachA = useCallback<Player["attach"]>((name, video) => attachTo("a", name, video), [attachTo]);
  const attachB = useCallback<Player["attach"]>((name, video) => attachTo("b", name, video), [attachTo]);
  const toggle = () => {
    if (!isPlaying && frame === last) seek(0);
    setPlaying(!isPlaying);
  };

  useEffect(() => {
    if (!isPlaying) return;
    const all = videos.current;
    const begun = performance.now();
    const from = shown.current;
    const follow = (video: HTMLVideoElement, side: Side, at: number) => {
      const part = pair.parts[side];
      const place = placeIn(part, at);
      if (!place.isWithin) {
        if (!video.paused) video.pause();
        return;
      }
      const time = (place.frame + 0.5) / part.rateHz;
      if (video.paused || Math.abs(video.currentTime - time) > STRAYED_FRAMES / part.rateHz) video.currentTime = time;
      if (!video.paused) return;
      video.playbackRate = speed;
      video.play().catch(() => undefined); // a damaged file: the other goes on
    };
    const tick = () => {
      const at = Math.min(last, from + Math.floor(((performance.now() - begun) / 1000) * speed * pair.rateHz));
      shown.current = at;
      setWanted(at);
      for (const [video, side] of all) follow(video, side, at);
      if (at >= last) setPlaying(false);
      else request = requestAnimationFrame(tick);
    };
    let request = requestAnimationFrame(tick);
    return () => {
      cancelAnimationFrame(request);
      for (const [video, side] of all) {
        video.pause();
        still(video, side);
      }
    };
  }, [isPlaying, speed, pair, last, still]);

  // Another alignment moves each video below a playhead that stays.
  useEffect(() => {
    shown.current = Math.min(last, shown.current);
    for (const [video, side] of videos.current) still(video, side);
  }, [last, still]);

  return { frame, isPlaying, speed, seek, toggle, setSpeed, attach: { a: attachA, b: attachB } };
}
