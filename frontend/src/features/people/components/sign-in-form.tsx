/** Name and password; says in words what went wrong and puts the cursor back where it helps. */

import { TriangleAlert } from "lucide-react";
import { type SubmitEvent, useRef } from "react";

import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { useSignIn } from "@/features/people/api/session";
import { ProblemError } from "@/lib/api/errors";

export function SignInForm() {
  const signIn = useSignIn();
  const passwordRef = useRef<HTMLInputElement>(null);
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [username, password] = [form.get("username"), form.get("password")];
    if (typeof username !== "string" || typeof password !== "string") return;
    signIn.mutate({ username, password }, { onError: () => passwordRef.current?.select() });
  };
  const isWrong = signIn.error instanceof ProblemError && signIn.error.problem.status === 401;
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <TextField label="User name" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} autoFocus required />
      <TextField
        ref={passwordRef}
        label="Password"
        name="password"
        type="password"
        autoComplete="current-password"
        aria-invalid={isWrong}
        required
      />
      <div role="alert" className="min-h-5 text-sm">
        {signIn.error ? (
          <p className="flex items-start gap-1.5 text-fault">
            <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
            {isWrong ? "The user name or the password is wrong." : signIn.error.message}
          </p>
        ) : null}
      </div>
      <Button type="submit" variant="primary" disabled={signIn.isPending}>
        {signIn.isPending ? "Signing in" : "Sign in"}
      </Button>
    </form>
  );
}
