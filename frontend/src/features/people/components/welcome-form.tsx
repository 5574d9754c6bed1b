/** What a one-time link opens: join with a name and a password, or choose a new password. */

import { LinkIcon, TriangleAlert } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useNavigate } from "react-router";

import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { Skeleton } from "@/components/ui/skeleton";
import { useSignIn } from "@/features/people/api/session";
import { useAccept, useWelcome, type Welcome } from "@/features/people/api/welcome";

export function WelcomeForm({ secret }: { readonly secret: string }) {
  const { data, error } = useWelcome(secret);
  if (secret === "" || error !== null) {
    return (
      <Notice icon={LinkIcon} title="This link does not work">
        It is unknown, used or expired. Ask whoever sent it for a new one.
      </Notice>
    );
  }
  return data === undefined ? <Skeleton className="h-56" /> : <Form secret={secret} welcome={data} />;
}

function Form({ secret, welcome }: { readonly secret: string; readonly welcome: Welcome }) {
  const accept = useAccept();
  const signIn = useSignIn();
  const navigate = useNavigate();
  const [mismatch, setMismatch] = useState(false);
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [username, password, again] = [form.get("username") ?? welcome.username, form.get("password"), form.get("again")];
    if (typeof username !== "string" || typeof password !== "string") return;
    setMismatch(password !== again);
    if (password !== again) return;
    accept.mutate(
      { secret, username, password },
      {
        onSuccess: (joined) =>
          signIn.mutate(
            { username: joined.username, password },
            // With a second factor set up the sign-in page asks for its code.
            { onSettled: () => void navigate("/", { replace: true }) },
          ),
      },
    );
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <p className="text-sm">
        {welcome.is_reset
          ? `Choose a new password for ${welcome.username}.`
          : `${welcome.invited_by} invites you as ${welcome.roles.join(" and ")}.`}
      </p>
      {welcome.is_reset ? (
        <input type="hidden" name="username" autoComplete="username" value={welcome.username} />
      ) : (
        <TextField label="User name" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} maxLength={150} autoFocus required />
      )}
      <TextField label="Password" name="password" type="password" autoComplete="new-password" minLength={8} required />
      <TextField label="The same once more" name="again" type="password" autoComplete="new-password" aria-invalid={mismatch} required />
      <div role="alert" className="min-h-5 text-sm">
        {mismatch || accept.error !== null ? (
          <p className="flex items-start gap-1.5 text-fault">
            <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
            {mismatch ? "The two passwords differ." : accept.error?.message}
          </p>
        ) : null}
      </div>
      <Button type="submit" variant="primary" disabled={accept.isPending || signIn.isPending}>
        {welcome.is_reset ? "Set the password" : "Join"}
      </Button>
    </form>
  );
}
