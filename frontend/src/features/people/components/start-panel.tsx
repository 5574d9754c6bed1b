/** Where this person starts after signing in, in this browser. */

import { Panel } from "@/components/ui/card";
import { SelectField } from "@/components/ui/field";
import { HOMES, homeOfRoles, useHome } from "@/hooks/use-home";

export function StartPanel({ roles }: { readonly roles: readonly string[] }) {
  const [, chosen, choose] = useHome();
  const usual = HOMES.find(({ value }) => value === homeOfRoles(roles))?.label ?? "";
  return (
    <Panel title="Start page">
      <SelectField
        label="After signing in"
        className="w-64"
        options={[{ value: "", label: `As my role: ${usual}` }, ...HOMES]}
        value={chosen ?? ""}
        onValue={(value) => choose(HOMES.find((home) => home.value === value)?.value ?? null)}
      />
      <p className="mt-1 text-xs text-ink-muted">Kept in this browser. The mark at the top left leads there, too.</p>
    </Panel>
  );
}
