/**
 * The live link in a word, always in view; and, while it is down, a bar over the page's foot that says what is seen
 * instead: over it, so that nothing moves when the link comes and goes.
 */

import { LogOut, type LucideIcon, RefreshCw, Unplug, Wifi, WifiOff } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Chip, type Tone } from "@/components/ui/chip";
import { Tooltip } from "@/components/ui/tooltip";
import { useBrowserNow } from "@/hooks/use-now";
import type { Connection, Phase } from "@/lib/socket/connection";
import { useConnection } from "@/lib/socket/fleet-store";
import { retryLink } from "@/lib/socket/use-fleet-link";
import { formatAge } from "@/lib/units/format";
import { milliseconds } from "@/lib/units/quantity";

const phases: Readonly<Record<Phase, { text: string; icon: LucideIcon; tone: Tone }>> = {
  connecting: { text: "Connecting", icon: RefreshCw, tone: "neutral" },
  connected: { text: "Connected", icon: Wifi, tone: "neutral" },
  reconnecting: { text: "Reconnecting", icon: RefreshCw, tone: "caution" },
  offline: { text: "Offline", icon: WifiOff, tone: "caution" },
  "signed-out": { text: "Signed out", icon: LogOut, tone: "caution" },
  outdated: { text: "Reload needed", icon: Unplug, tone: "caution" },
};

export function ConnectionChip() {
  const { phase, reason } = useConnection();
  const { text, icon, tone } = phases[phase];
  return (
    <div role="status" aria-label="Live link">
      <Tooltip text={reason} side="right">
        <Chip icon={icon} tone={tone}>
          {text}
        </Chip>
        <span className="sr-only">. {reason}</span>
      </Tooltip>
    </div>
  );
}

/** Nothing while all is well, nor before the first snapshot of a page that just opened. */
export function ConnectionBanner() {
  const connection = useConnection();
  if (connection.phase === "connected" || connection.phase === "connecting") return null;
  return (
    <div className="fixed inset-x-4 bottom-4 mx-auto w-fit rounded-lg border border-caution bg-caution-tint py-2 pr-2 pl-4 text-sm text-caution shadow-overlay">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1.5">
        <WifiOff aria-hidden className="size-4" />
        <p>
          {connection.reason} <Staleness connection={connection} />
        </p>
        {connection.phase === "outdated" ? (
          <Button onClick={() => window.location.reload()}>Load again</Button>
        ) : (
          <Button onClick={retryLink}>Try now</Button>
        )}
      </div>
    </div>
  );
}

function Staleness({ connection: { lastHeardMs } }: { readonly connection: Connection }) {
  const now = useBrowserNow();
  if (lastHeardMs === null) return null;
  return <span className="numeric">This page shows what was known {formatAge(milliseconds(now - lastHeardMs))}.</span>;
}
