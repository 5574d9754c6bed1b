/** Everybody with their roles, and the invitations that are open. */

import { CircleSlash, ShieldAlert, ShieldCheck, UserPlus } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type People, type Person, useInvitations, usePeople, useWithdraw } from "@/features/people/api/people";
import { InviteDialog } from "@/features/people/components/invite-dialog";
import { PersonDialog } from "@/features/people/components/person-dialog";
import { useUrlFlag } from "@/hooks/use-url-choice";
import { formatDay } from "@/lib/units/format";

export function PeoplePage() {
  const { data, error, refetch } = usePeople();
  if (data !== undefined) return <Loaded people={data} />;
  if (error === null) return <Skeleton className="h-64" />;
  return (
    <Panel title="People">
      <ReadFailed title="People could not be read" error={error} onRetry={() => void refetch()} />
    </Panel>
  );
}

function Loaded({ people }: { readonly people: People }) {
  const [isInviting, setIsInviting] = useUrlFlag("new");
  const [openId, setOpenId] = useState<number | null>(null);
  const opened = people.results.find((person) => person.id === openId);
  const invite = (
    <Button variant="primary" onClick={() => setIsInviting(true)}>
      <UserPlus aria-hidden className="size-4" />
      Invite
    </Button>
  );
  return (
    <div className="flex flex-col gap-4">
      <h1 className="sr-only">People</h1>
      <Panel title="People" actions={invite}>
        <PeopleTable people={people.results} onOpen={(person) => setOpenId(person.id)} />
      </Panel>
      <Invitations />
      {isInviting ? <InviteDialog roles={people.roles.map((role) => role.name)} onClose={() => setIsInviting(false)} /> : null}
      {opened === undefined ? null : <PersonDialog key={opened.id} person={opened} roles={people.roles} onClose={() => setOpenId(null)} />}
    </div>
  );
}

const columns = [
  { key: "name", label: "User name" },
  { key: "roles", label: "Roles" },
  { key: "groups", label: "Sees" },
  { key: "factor", label: "Second factor" },
  { key: "sessions", label: "Signed in", isNumeric: true },
  { key: "last", label: "Last sign-in" },
  { key: "open", label: "" },
];

function PeopleTable({ people, onOpen }: { readonly people: readonly Person[]; readonly onOpen: (person: Person) => void }) {
  return (
    <Table caption="Everybody" columns={columns}>
      {people.map((person) => (
        <tr key={person.id} className="hover:bg-raised">
          <Cell className="max-w-56 truncate" title={person.email || undefined}>
            <span className="font-medium">{person.username}</span>
            {person.name === "" ? null : <span className="text-ink-muted"> {person.name}</span>}
          </Cell>
          <Cell>
            {person.is_active ? (
              person.roles.join(", ") || <span className="text-ink-muted">none</span>
            ) : (
              <Chip icon={CircleSlash} tone="caution">
                deactivated
              </Chip>
            )}
          </Cell>
          <Cell className="max-w-48 truncate" title={person.groups.join(", ") || undefined}>
            {person.is_limited ? person.groups.join(", ") || "nothing: no group" : <span className="text-ink-muted">everything</span>}
          </Cell>
          <Cell>
            <Factor person={person} />
          </Cell>
          <Cell isNumeric>{person.sessions}</Cell>
          <Cell className="whitespace-nowrap">
            {person.last_login_at === null ? <span className="text-ink-muted">never</span> : formatDay(Date.parse(person.last_login_at))}
          </Cell>
          <Cell className="py-0.5 text-right">
            <Button variant="quiet" aria-label={`Change ${person.username}`} onClick={() => onOpen(person)}>
              Change
            </Button>
          </Cell>
        </tr>
      ))}
    </Table>
  );
}

function Factor({ person }: { readonly person: Person }) {
  if (person.has_totp) {
    return (
      <Chip icon={ShieldCheck} tone="neutral">
        set up
      </Chip>
    );
  }
  if (!person.needs_totp) return <span className="text-ink-muted">none</span>;
  return (
    <Chip icon={ShieldAlert} tone="caution">
      required, missing
    </Chip>
  );
}

function Invitations() {
  const { data } = useInvitations();
  const withdraw = useWithdraw();
  if (data === undefined || data.results.length === 0) return null;
  return (
    <Panel title="Open invitations">
      <Table
        caption="Invitations that are open"
        columns={[
          { key: "for", label: "For" },
          { key: "roles", label: "Roles" },
          { key: "by", label: "Made by" },
          { key: "ends", label: "Works until" },
          { key: "withdraw", label: "" },
        ]}
      >
        {data.results.map((invitation) => (
          <tr key={invitation.id} className="hover:bg-raised">
            <Cell>{invitation.email || <span className="text-ink-muted">whoever has the link</span>}</Cell>
            <Cell>{invitation.roles.join(", ")}</Cell>
            <Cell>{invitation.created_by_name}</Cell>
            <Cell className="whitespace-nowrap">{formatDay(Date.parse(invitation.expires_at))}</Cell>
            <Cell className="py-0.5 text-right">
              <Button
                variant="quiet"
                aria-label={`Withdraw the invitation for ${invitation.email || invitation.roles.join(", ")}`}
                onClick={() =>
                  withdraw.mutate(invitation.id, {
                    onSuccess: () => notify("done", "The link no longer works."),
                    onError: (error) => notify("failed", `Not withdrawn. ${error.message}`),
                  })
                }
              >
                Withdraw
              </Button>
            </Cell>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}
