/** One person: their roles, their password and second factor, and whether they may sign in. */

import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { notify } from "@/components/ui/toast";
import { type Person, type Role, useChangePerson, useRemoveFactor, useResetLink } from "@/features/people/api/people";
import { LinkShown } from "@/features/people/components/link-shown";
import { RoleChoice } from "@/features/people/components/role-choice";
import { permissionWords } from "@/features/people/person-words";
import { changeProblem } from "@/lib/api/errors";

interface PersonDialogProps {
  readonly person: Person;
  readonly roles: readonly Role[];
  readonly onClose: () => void;
}

export function PersonDialog({ person, roles, onClose }: PersonDialogProps) {
  const [version] = useState(person.version); // of what is shown here, whatever is read again meanwhile
  const change = useChangePerson(person.id, version);
  const reset = useResetLink(person.id);
  const removeFactor = useRemoveFactor(person.id);
  const [chosen, setChosen] = useState(person.roles);
  if (reset.data !== undefined) {
    return (
      <Dialog title={`A new password for ${person.username}`} onClose={onClose}>
        <LinkShown link={reset.data} email={person.email} onClose={onClose}>
          Whoever opens this link chooses the new password of {person.username}.
        </LinkShown>
      </Dialog>
    );
  }
  const allowed = [...new Set(roles.filter((role) => chosen.includes(role.name)).flatMap((role) => role.permissions))].sort();
  const isSame = [...chosen].sort().join() === [...person.roles].sort().join();
  const save = () =>
    change.mutate(
      { roles: chosen },
      {
        onSuccess: () => {
          notify("done", `${person.username} is ${chosen.length === 0 ? "without a role" : chosen.join(" and ")} now.`);
          onClose();
        },
      },
    );
  const setActive = (isActive: boolean) =>
    change.mutate(
      { is_active: isActive },
      {
        onSuccess: () => {
          notify("done", isActive ? `${person.username} may sign in again.` : `${person.username} is signed out everywhere and may not sign in.`);
          onClose();
        },
      },
    );
  const lift = () =>
    change.mutate(
      { is_limited: false },
      {
        onSuccess: () => {
          notify("done", `${person.username} sees the whole fleet now.`);
          onClose();
        },
      },
    );
  const error = change.error ?? reset.error ?? removeFactor.error;
  return (
    <Dialog title={person.name === "" ? person.username : `${person.username} (${person.name})`} onClose={onClose}>
      <div className="flex flex-col gap-4">
        <RoleChoice roles={roles.map((role) => role.name)} chosen={chosen} onChosen={setChosen} />
        <p className="text-xs text-ink-muted">
          {allowed.length === 0 ? "May do nothing, not even look." : `May: ${allowed.map(permissionWords).join(", ")}.`}
        </p>
        <p role="alert" className="min-h-5 text-sm text-fault">
          {error === null ? null : `Nothing was changed. ${changeProblem(error, person.username)}`}
        </p>
        <div className="flex flex-wrap items-center gap-2 border-t border-line pt-4">
          <Button disabled={!person.is_active || reset.isPending} onClick={() => reset.mutate()}>
            Password link
          </Button>
          <Button
            disabled={!person.has_totp || removeFactor.isPending}
            title={person.has_totp ? undefined : "No second factor is set up"}
            onClick={() => removeFactor.mutate(undefined, { onSuccess: () => notify("done", `${person.username} signs in with the password alone now.`) })}
          >
            Remove second factor
          </Button>
          {person.is_limited ? (
            <Button disabled={change.isPending} title="Takes them out of every group" onClick={lift}>
              Show the whole fleet
            </Button>
          ) : null}
          <Button disabled={change.isPending} onClick={() => setActive(!person.is_active)}>
            {person.is_active ? "Deactivate" : "Activate"}
          </Button>
          <Button variant="primary" className="ml-auto" disabled={isSame || change.isPending} onClick={save}>
            Save the roles
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
