/** The frame in the URL: read once when the page opens, written once the playhead rests, so that a link leads there. */

import { useEffect } from "react";
import { useSearchParams } from "react-router";

const REST_MS = 250;

export function useUrlFrame(): number {
  const [parameters] = useSearchParams();
  const text = parameters.get("frame") ?? "";
  return /^\d{1,6}$/.test(text) ? Number(text) : 0;
}

export function useKeepFrameInUrl(frame: number, isPlaying: boolean): void {
  const [parameters, setParameters] = useSearchParams();
  const written = parameters.get("frame") ?? "0";
  useEffect(() => {
    if (isPlaying || written === `${frame}`) return;
    const timer = setTimeout(() => {
      const write = (previous: URLSearchParams) => {
        const next = new URLSearchParams(previous);
        if (frame === 0) next.delete("frame");
        else next.set("frame", `${frame}`);
        return next;
      };
      setParameters(write, { replace: true, preventScrollReset: true });
    }, REST_MS);
    return () => clearTimeout(timer);
  }, [frame, isPlaying, written, setParameters]);
}
