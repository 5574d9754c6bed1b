/** `/alerts`: what is wrong now, what was, and the rules that tell. */

import { LifeBuoy, TriangleAlert } from "lucide-react";
import { Link } from "react-router";

import { Tabs } from "@/components/ui/tabs";
import { OpenAlertList, PastAlertList } from "@/features/alerts/components/alert-lists";
import { RuleList } from "@/features/alerts/components/rule-list";
import { useFleetCounts } from "@/features/fleet/hooks/use-fleet-counts";
import { countText } from "@/features/help/help-words";
import { useWaiting } from "@/features/help/hooks/use-waiting";
import { useMay } from "@/hooks/use-session";
import { usePageTitle } from "@/hooks/use-page-title";
import { useUrlChoice } from "@/hooks/use-url-choice";

const views = [
  { value: "alerts", label: "Alerts" },
  { value: "rules", label: "Rules" },
] as const;

export function AlertsRoute() {
  usePageTitle("Alerts");
  const mayAcknowledge = useMay("acknowledge_alerts");
  const mayEdit = useMay("edit_alerts");
  const [view, setView] = useUrlChoice("view", ["alerts", "rules"], "alerts");
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center gap-4">
        <h1 className="text-xl font-semibold">Alerts</h1>
        <Tabs label="Alerts or rules" value={view} options={views} onValue={setView} controls="alerts-view" />
      </div>
      <div id="alerts-view" role="tabpanel" aria-label={view === "rules" ? "Rules" : "Alerts"} className="flex flex-col gap-4">
        {view === "rules" ? (
          <RuleList mayEdit={mayEdit} />
        ) : (
          <>
            <OpenAlertList mayAcknowledge={mayAcknowledge} besides={<Besides />} />
            <PastAlertList />
          </>
        )}
      </div>
    </>
  );
}

/** Robots that wait for a person or need a look, for which there is no rule: with where to go. Nothing if there are none. */
function Besides() {
  const waiting = useWaiting();
  const attention = useFleetCounts()?.attention ?? 0;
  const isWaited = waiting !== null && waiting.count > 0;
  if (!isWaited && attention === 0) return null;
  const isOne = isWaited && waiting.count === 1 && !waiting.isCut;
  const link = "text-link underline underline-offset-2";
  return (
    <ul aria-label="Besides alerts" className="mt-3 grid gap-1 rounded-lg border border-caution bg-caution-tint px-3 py-2 text-sm">
      {isWaited ? (
        <li className="flex items-center gap-2">
          <LifeBuoy aria-hidden className="size-4 shrink-0 text-caution" />
          <Link to="/help" className={link}>
            {isOne ? "1 robot waits for help" : `${countText(waiting.count, waiting.isCut)} robots wait for help`}
          </Link>
        </li>
      ) : null}
      {attention > 0 ? (
        <li className="flex items-center gap-2">
          <TriangleAlert aria-hidden className="size-4 shrink-0 text-caution" />
          <Link to="/?status=attention" className={link}>
            {attention === 1 ? "1 robot needs attention on the fleet page" : `${attention} robots need attention on the fleet page`}
          </Link>
        </li>
      ) : null}
    </ul>
  );
}
