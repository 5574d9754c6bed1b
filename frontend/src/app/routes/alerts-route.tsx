/** `/alerts`: what is wrong now, what was, and the rules that tell. */

import { Tabs } from "@/components/ui/tabs";
import { OpenAlertList, PastAlertList } from "@/features/alerts/components/alert-lists";
import { RuleList } from "@/features/alerts/components/rule-list";
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
            <OpenAlertList mayAcknowledge={mayAcknowledge} />
            <PastAlertList />
          </>
        )}
      </div>
    </>
  );
}
