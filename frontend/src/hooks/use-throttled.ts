/** The newest value, but at most once per period: the first change at once, the last change always. */

import { useEffect, useRef, useState } from "react";

import type { Milliseconds } from "@/lib/units/quantity";

export function useThrottled<T>(value: T, period: Milliseconds): T {
  const [shown, setShown] = useState(value);
  const shownAt = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, shownAt.current + period - Date.now());
    const timer = setTimeout(() => {
      shownAt.current = Date.now();
      setShown(value);
    }, wait);
    return () => clearTimeout(timer);
  }, [value, period]);
  return shown;
}
