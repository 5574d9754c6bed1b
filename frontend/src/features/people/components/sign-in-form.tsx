/** Name and password, then the code of the second factor where one is set up; says in words what went wrong. */

import { TriangleAlert } from "lucide-react";
import { type SubmitEvent, useRef, useState } from "react";

import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { useSignIn } from "@/features/people/api/session";
import { ProblemError } from "@/lib/api/errors";

export function SignInForm() {
  const signIn = useSignIn();
  const [isCodeAsked, setIsCodeAsked] = useState(false);
  const passwordRef = useRef<HTMLInputElement>(null);
  const problem = signIn.error instanceof ProblemError ? signIn.error.problem : null;
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [username, password, code] = [form.get("username"), form.get("password"), form.get("code")];
    if (typeof username !== "string" || typeof password !== "string") return;
    signIn.mutate(
      { username, password, ...(typeof code === "string" && code !== "" ? { code } : {}) },
      {
        onError: (error) => {
          if (error instanceof ProblemError && error.problem.code === "second_factor") setIsCodeAsked(true);
          else passwordRef.current?.select();
        },
      },
    );
  };
  const isWrong = problem?.status === 401 && problem.code !== "second_factor";
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
      {isCodeAsked ? (
        <div>
          <TextField
            label="Code"
            name="code"
            inputMode="text"
            autoComplete="one-time-code"
            autoCapitalize="none"
            spellCheck={false}
            autoFocus
            required
            maxLength={40}
          />
          <p className="mt-1 text-xs text-ink-muted">Six digits from your authenticator app, or one of your recovery codes.</p>
        </div>
      ) : null}
      <div role="alert" className="min-h-5 text-sm">
        <Failure error={signIn.error} isWrong={isWrong} isCodeAsked={isCodeAsked} />
      </div>
      <Button type="submit" variant="primary" disabled={signIn.isPending}>
        {signIn.isPending ? "Signing in" : "Sign in"}
      </Button>
    </form>
  );
}

interface FailureProps {
  readonly error: Error | null;
  readonly isWrong: boolean;
  readonly isCodeAsked: boolean;
}

function Failure({ error, isWrong, isCodeAsked }: FailureProps) {
  if (error === null) return null;
  // The first answer of this kind only asks for the code, which the new field says.
  if (isCodeAsked && error instanceof ProblemError && error.problem.code === "second_factor" && error.message.startsWith("send")) return null;
  return (
    <p className="flex items-start gap-1.5 text-fault">
      <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
      {isWrong ? "The user name or the password is wrong." : sentence(error.message)}
    </p>
  );
}

/** The server's details begin small. */
const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
