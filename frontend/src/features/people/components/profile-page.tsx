/** One's own account: password, second factor, and where one is signed in. */

import { MonitorSmartphone, ShieldAlert } from "lucide-react";
import { type SubmitEvent, useRef } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { TextField } from "@/components/ui/field";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { notify } from "@/components/ui/toast";
import { type Profile, useChangePassword, useEndSessions, useProfile } from "@/features/people/api/profile";
import { StartPanel } from "@/features/people/components/start-panel";
import { FactorPanel } from "@/features/people/components/factor-panel";
import { deviceOf } from "@/features/people/person-words";
import { useServerNow } from "@/hooks/use-now";
import { formatAge } from "@/lib/units/format";
import { milliseconds } from "@/lib/units/quantity";

export function ProfilePage() {
  const { data, error, refetch } = useProfile();
  if (data === undefined) {
    if (error === null) return <Skeleton className="h-64" />;
    return (
      <Panel title="Your account">
        <ReadFailed title="Your account could not be read" error={error} onRetry={() => void refetch()} />
      </Panel>
    );
  }
  return (
    <div className="flex max-w-3xl flex-col gap-4">
      <h1 className="sr-only">Your account</h1>
      {data.totp_needed && !data.has_totp ? (
        <p role="status" className="flex items-start gap-2 rounded-lg bg-caution-tint px-4 py-3 text-sm text-caution">
          <ShieldAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
          Your role requires a second factor. Until you set it up below, you may do nothing else here.
        </p>
      ) : null}
      <Panel title="You">
        <p className="text-sm">
          Signed in as <span className="font-medium">{data.username}</span>, {data.roles.join(" and ") || "without a role"}. An admin changes roles.
        </p>
      </Panel>
      <StartPanel roles={data.roles} />
      <FactorPanel profile={data} />
      <PasswordPanel />
      <SessionsPanel profile={data} />
    </div>
  );
}

function PasswordPanel() {
  const change = useChangePassword();
  const formRef = useRef<HTMLFormElement>(null);
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [old, fresh] = [form.get("old"), form.get("new")];
    if (typeof old !== "string" || typeof fresh !== "string") return;
    change.mutate(
      { old, new: fresh },
      {
        onSuccess: () => {
          formRef.current?.reset();
          notify("done", "Your password is changed. Every other browser is signed out.");
        },
      },
    );
  };
  return (
    <Panel title="Password">
      <form ref={formRef} onSubmit={submit} className="grid gap-3 sm:grid-cols-2">
        <TextField label="Present password" name="old" type="password" autoComplete="current-password" required />
        <TextField label="New password" name="new" type="password" autoComplete="new-password" minLength={8} required />
        <div className="flex items-center justify-end gap-3 sm:col-span-2">
          <p role="alert" className="min-w-0 grow text-sm text-fault">
            {change.error === null ? null : `Not changed. ${change.error.message}`}
          </p>
          <Button type="submit" disabled={change.isPending}>
            Change the password
          </Button>
        </div>
      </form>
    </Panel>
  );
}

function SessionsPanel({ profile }: { readonly profile: Profile }) {
  const now = useServerNow();
  const end = useEndSessions();
  const others = profile.sessions.filter((session) => !session.is_this).length;
  const say = (text: string) => ({
    onSuccess: () => notify("done", text),
    onError: (error: Error) => notify("failed", `Not signed out. ${error.message}`),
  });
  return (
    <Panel
      title="Where you are signed in"
      actions={
        others === 0 ? null : (
          <Button disabled={end.isPending} onClick={() => end.mutate(null, say("Every other browser is signed out."))}>
            Sign out others
          </Button>
        )
      }
    >
      <Table
        caption="Browsers that are signed in"
        columns={[
          { key: "device", label: "Browser" },
          { key: "address", label: "Address" },
          { key: "seen", label: "Last seen" },
          { key: "end", label: "" },
        ]}
      >
        {profile.sessions.map((session) => (
          <tr key={session.id} className="hover:bg-raised">
            <Cell title={session.agent}>
              <span className="inline-flex items-center gap-2">
                <MonitorSmartphone aria-hidden className="size-4 text-ink-muted" />
                {deviceOf(session.agent)}
              </span>
            </Cell>
            <Cell className="numeric">{session.address ?? "unknown"}</Cell>
            <Cell className="whitespace-nowrap">
              {session.is_this ? "this browser" : formatAge(milliseconds(Math.max(0, now - Date.parse(session.last_seen_at))))}
            </Cell>
            <Cell className="py-0.5 text-right">
              {session.is_this ? null : (
                <Button
                  variant="quiet"
                  aria-label={`Sign out ${deviceOf(session.agent)} at ${session.address ?? "an unknown address"}`}
                  disabled={end.isPending}
                  onClick={() => end.mutate(session.id, say("That browser is signed out."))}
                >
                  Sign out
                </Button>
              )}
            </Cell>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}
