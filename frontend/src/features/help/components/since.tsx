/** How long ago something began, ticking. Apart, so that the tick renders this text and not the row around it. */

import { useServerNow } from "@/hooks/use-now";
import { formatDuration } from "@/lib/units/format";
import { elapsed, toSeconds, unixMilliseconds } from "@/lib/units/quantity";

export function Since({ startMs }: { readonly startMs: number }) {
  return <>{formatDuration(toSeconds(elapsed(unixMilliseconds(startMs), useServerNow())))}</>;
}
