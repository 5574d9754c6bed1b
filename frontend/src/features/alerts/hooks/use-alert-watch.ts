/** Keeps the open alerts up to date on whatever page the user is, and shows a new critical one at once. */

import { useEffect, useRef } from "react";
import { useNavigate } from "react-router";

import { notify } from "@/components/ui/toast";
import { useOpenAlerts } from "@/features/alerts/api/alerts";

export function useAlertWatch(maySee: boolean): void {
  const navigate = useNavigate();
  const { data } = useOpenAlerts(maySee);
  const known = useRef<ReadonlySet<string> | null>(null);
  useEffect(() => {
    if (data === undefined) return;
    // One that is silent is shown once its silence ends.
    const loud = data.results.filter((alert) => alert.severity === "critical" && alert.told_at !== null);
    const before = known.current;
    known.current = new Set(loud.map(({ id }) => id));
    // What was open already when the page was opened is in the badge, and no news.
    if (before === null) return;
    const fresh = loud.filter(({ id, acknowledged_at: at }) => at === null && !before.has(id));
    for (const alert of fresh) notify("failed", alert.text, { label: "Look at alerts", run: () => void navigate("/alerts") });
  }, [data, navigate]);
}
