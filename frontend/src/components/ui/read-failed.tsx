/**
 * What a page shows instead of what it could not read: why, and what to do. To try again helps against a server that is
 * away; against a missing right it does not, so there it says who gives one.
 */

import { ServerOff, ShieldAlert } from "lucide-react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/notice";
import { ProblemError } from "@/lib/api/errors";

interface ReadFailedProps {
  /** "Episodes could not be read". */
  readonly title: string;
  readonly error: Error;
  readonly onRetry?: (() => void) | undefined;
}

export function ReadFailed({ title, error, onRetry }: ReadFailedProps) {
  if (error instanceof ProblemError && error.problem.status === 403) return <NoRight why={sentence(error.message)} />;
  return (
    <Notice icon={ServerOff} title={title} action={onRetry === undefined ? null : <Button onClick={onRetry}>Try again</Button>}>
      {error.message}
    </Notice>
  );
}

/** `why`: "Your role does not let you manage people." */
export function NoRight({ why }: { readonly why: string }) {
  const link = "text-link underline underline-offset-2";
  return (
    <Notice icon={ShieldAlert} title="You have no right to see this">
      {why} Admins give rights: ask one of them, by the name that{" "}
      <Link to="/settings/profile" className={link}>
        your account
      </Link>{" "}
      shows. Or go{" "}
      <Link to="/" className={link}>
        to the fleet
      </Link>
      .
    </Notice>
  );
}

/** The server's words begin small and end without a stop. */
const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
