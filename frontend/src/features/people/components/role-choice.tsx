/** Roles to tick; they add up. */

import { aboutRole } from "@/features/people/person-words";

interface RoleChoiceProps {
  readonly roles: readonly string[];
  readonly chosen: readonly string[];
  readonly onChosen: (roles: readonly string[]) => void;
}

export function RoleChoice({ roles, chosen, onChosen }: RoleChoiceProps) {
  const toggle = (role: string) => onChosen(chosen.includes(role) ? chosen.filter((each) => each !== role) : [...chosen, role]);
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">Roles</legend>
      {roles.map((role) => (
        <label key={role} className="flex min-h-9 items-start gap-2 py-1 text-sm">
          <input
            type="checkbox"
            className="mt-0.5 size-4 shrink-0 accent-action"
            checked={chosen.includes(role)}
            onChange={() => toggle(role)}
          />
          <span>
            <span className="font-medium">{role}</span>
            <span className="block text-xs text-ink-muted">{aboutRole(role)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
