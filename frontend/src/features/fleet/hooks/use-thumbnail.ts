/**
 * The latest camera picture of a robot as a URL for <img>, fetched at most once a second, and only while it is on
 * screen. The old picture stays until the new one is decoded, so nothing flickers.
 */

import { type RefObject, useEffect, useRef, useState } from "react";

import { send } from "@/lib/api/client";

const PERIOD_MS = 1000;
const LIMIT_MS = 5000;
/** Pictures a second over all robots: beyond ten on screen, each comes less often. */
const BUDGET_PER_S = 10;
const onScreen = new Set<symbol>();

export const periodMs = (pictures: number): number => Math.max(PERIOD_MS, (1000 * pictures) / BUDGET_PER_S);

export function useThumbnail(robotId: string, thumbnailMs: number | null, ref: RefObject<HTMLElement | null>): string | null {
  const isVisible = useOnScreen(ref);
  const [url, setUrl] = useState<string | null>(null);
  const fetchedAt = useRef(0);
  const shownSince = useRef(0);
  const isMounted = useRef(false);

  useEffect(() => {
    isMounted.current = true;
    return () => {
      isMounted.current = false;
    };
  }, []);

  useEffect(() => {
    if (thumbnailMs === null || !isVisible) return;
    const wait = fetchedAt.current + periodMs(onScreen.size) - Date.now();
    // Only the waiting is cancelled: a request under way brings a picture newer than the one shown.
    const timer = setTimeout(() => {
      const askedAt = Date.now();
      fetchedAt.current = askedAt;
      void load(robotId).then((next) => {
        if (next === null) return;
        // A slow answer may come after that to a later request: time must not run backwards on the card.
        if (isMounted.current && askedAt >= shownSince.current) {
          shownSince.current = askedAt;
          setUrl(next);
        } else URL.revokeObjectURL(next);
      });
    }, Math.max(0, wait));
    return () => clearTimeout(timer);
  }, [robotId, thumbnailMs, isVisible]);

  useEffect(() => {
    return () => {
      if (url !== null) URL.revokeObjectURL(url);
    };
  }, [url]);
  return thumbnailMs === null ? null : url;
}

/** A decoded picture as an object URL; null if there is none, or none could be had. The next one is tried all the same. */
async function load(robotId: string): Promise<string | null> {
  try {
    const response = await send(`/api/v1/robots/${encodeURIComponent(robotId)}/thumbnail`, { limitMs: LIMIT_MS });
    if (!response.ok) return null;
    const url = URL.createObjectURL(await response.blob());
    const image = new Image();
    image.src = url;
    await image.decode();
    return url;
  } catch {
    return null;
  }
}

function useOnScreen(ref: RefObject<HTMLElement | null>): boolean {
  const [isVisible, setVisible] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const token = Symbol("thumbnail");
    const observer = new IntersectionObserver(
      ([entry]) => {
        const isOn = entry?.isIntersecting ?? false;
        if (isOn) onScreen.add(token);
        else onScreen.delete(token);
        setVisible(isOn);
      },
      { rootMargin: "100px" },
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      onScreen.delete(token);
    };
  }, [ref]);
  return isVisible;
}
