/** The rule by which the queue is ranked, which managers choose for everyone, and this browser's own alerts. */

import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { useAlertSettings } from "@/features/help/alert-settings";
import { useChooseRanking } from "@/features/help/api/help";
import { beep } from "@/features/help/beep";
import { RANKINGS } from "@/features/help/help-words";
import { useHelpQueue } from "@/lib/socket/help-store";

export function QueueControls({ mayRank }: { readonly mayRank: boolean }) {
  return (
    <Panel title="Order and alerts">
      <Ranking mayRank={mayRank} />
      <Alerts />
    </Panel>
  );
}

function Ranking({ mayRank }: { readonly mayRank: boolean }) {
  const shown = useHelpQueue()?.ranking;
  const choose = useChooseRanking();
  const value = (choose.isPending ? choose.variables.ranking : undefined) ?? shown;
  const rule = RANKINGS.find((ranking) => ranking.value === value);
  if (rule === undefined) return null;
  const set = (wanted: string) => {
    const chosen = RANKINGS.find((ranking) => ranking.value === wanted);
    if (chosen === undefined) return;
    choose.mutate({ ranking: chosen.value, over: rule.value }, { onError: (error) => notify("failed", `The order was not changed. ${error.message}`) });
  };
  return (
    <>
      {mayRank ? (
        <SelectField label="Order" options={RANKINGS} value={rule.value} onValue={set} disabled={choose.isPending} />
      ) : (
        <p className="text-sm">
          Order: <span className="font-medium">{rule.label}</span>
        </p>
      )}
      <p className="mt-1 text-xs text-ink-muted">
        {rule.text} {mayRank ? "Holds for everyone." : "A manager chooses it."}
      </p>
    </>
  );
}

function Alerts() {
  const { isSoundOn, isTitleOn, set } = useAlertSettings();
  const setSound = (isOn: boolean) => {
    set({ isSoundOn: isOn });
    if (isOn) void beep();
  };
  return (
    <fieldset className="mt-3 border-t border-line pt-3">
      <legend className="sr-only">Alerts in this browser</legend>
      <Option label="Sound when a robot asks" isOn={isSoundOn} onChange={setSound} />
      <Option label="Count in the tab's title" isOn={isTitleOn} onChange={(isOn) => set({ isTitleOn: isOn })} />
    </fieldset>
  );
}

interface OptionProps {
  readonly label: string;
  readonly isOn: boolean;
  readonly onChange: (isOn: boolean) => void;
}

const Option = ({ label, isOn, onChange }: OptionProps) => (
  <label className="flex min-h-8 items-center gap-2 text-sm">
    <input type="checkbox" className="size-4 accent-action" checked={isOn} onChange={(event) => onChange(event.target.checked)} />
    {label}
  </label>
);
