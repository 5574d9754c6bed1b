/** The one place that keeps strangers out: shows its children to people who are signed in, sends others to /sign-in. */

import { type ReactNode, useEffect } from "react";
import { Navigate, useLocation } from "react-router";

import { ReadFailed } from "@/components/ui/read-failed";
import { useSession } from "@/hooks/use-session";
import { useConnection } from "@/lib/socket/fleet-store";

export function RequireSession({ children }: { readonly children: ReactNode }) {
  const { data, error, refetch } = useSession();
  const { pathname, search } = useLocation();
  const isLinkSignedOut = useConnection().phase === "signed-out";
  useEffect(() => {
    // The session may have ended elsewhere; the link is the first to notice.
    if (isLinkSignedOut) void refetch();
  }, [isLinkSignedOut, refetch]);

  if (data === undefined) {
    if (error === null) return <div className="min-h-dvh" aria-busy="true" />;
    return (
      <main className="grid min-h-dvh place-items-center">
        <ReadFailed title="The console cannot start" error={error} onRetry={() => void refetch()} />
      </main>
    );
  }
  if (data.user === null) {
    const next = pathname + search;
    return <Navigate replace to={next === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(next)}`} />;
  }
  // A role that waits for a second factor allows nothing yet, so there is one page to be on.
  if (data.user.lacks_totp && pathname !== "/settings/profile") return <Navigate replace to="/settings/profile" />;
  return children;
}
