/** Invites somebody: roles first, then the link, once. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { TextField } from "@/components/ui/field";
import { MultiSelect } from "@/components/ui/multi-select";
import { useGroups } from "@/features/people/api/groups";
import { useInvite } from "@/features/people/api/people";
import { LinkShown } from "@/features/people/components/link-shown";
import { RoleChoice } from "@/features/people/components/role-choice";

interface InviteDialogProps {
  readonly roles: readonly string[];
  readonly onClose: () => void;
}

export function InviteDialog({ roles, onClose }: InviteDialogProps) {
  const invite = useInvite();
  const [chosen, setChosen] = useState<readonly string[]>(["operator"]);
  const [email, setEmail] = useState("");
  const [groups, setGroups] = useState<readonly string[]>([]);
  const offered = useGroups().data?.results ?? [];
  if (invite.data !== undefined) {
    return (
      <Dialog title="The invitation is ready" onClose={onClose}>
        <LinkShown link={invite.data} email={email.trim()} onClose={onClose}>
          Whoever opens this link joins as {chosen.join(" and ")} and chooses a name and a password.
        </LinkShown>
      </Dialog>
    );
  }
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    invite.mutate({ roles: chosen, email: email.trim(), groups });
  };
  return (
    <Dialog title="Invite a person" onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <RoleChoice roles={roles} chosen={chosen} onChosen={setChosen} />
        {offered.length === 0 ? null : (
          <MultiSelect
            label="Groups"
            all="No group: sees the whole fleet"
            values={groups}
            options={offered.map((group) => ({ value: group.id, label: group.name }))}
            onValues={setGroups}
          />
        )}
        <TextField
          label="E-mail (if you like)"
          type="email"
          autoComplete="off"
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
        <div className="flex items-center justify-end gap-3">
          <p role="alert" className="min-w-0 grow text-sm text-fault">
            {invite.error === null ? null : `Nobody was invited. ${invite.error.message}`}
          </p>
          <Button type="submit" variant="primary" disabled={chosen.length === 0 || invite.isPending}>
            Make the link
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
