/** How many open alerts nobody looks after, beside the name of the page; nothing when there are none. */

import { useOpenAlerts } from "@/features/alerts/api/alerts";
import { formatCount } from "@/lib/units/format";

export function AlertBadge() {
  const { data } = useOpenAlerts(false);
  if (data === undefined || data.unacknowledged === 0) return null;
  const isCritical = data.results.some((alert) => alert.severity === "critical" && alert.acknowledged_at === null);
  const tone = isCritical ? "bg-fault-tint text-fault" : "bg-caution-tint text-caution";
  return (
    <span className={`numeric ml-1.5 rounded-full px-1.5 text-xs leading-5 font-medium ${tone}`}>
      {formatCount(data.unacknowledged)} <span className="sr-only">not acknowledged</span>
    </span>
  );
}
