/** `/sign-in`: leads on to where the visitor was going, or to where they start. */

import { Navigate, useSearchParams } from "react-router";

import { FrontDoor } from "@/app/front-door";
import { useSession } from "@/hooks/use-session";
import { SignInForm } from "@/features/people/components/sign-in-form";
import { useHome } from "@/hooks/use-home";
import { usePageTitle } from "@/hooks/use-page-title";

/** Only paths of this site: `//elsewhere` and `https:` would lead away from it. */
export function safeNext(next: string | null, home: string): string {
  return next !== null && /^\/(?![/\\])/.test(next) ? next : home;
}

export function SignInRoute() {
  usePageTitle("Sign in");
  const [params] = useSearchParams();
  const { data } = useSession();
  const [home] = useHome();
  if (data?.user) return <Navigate replace to={safeNext(params.get("next"), home)} />;
  return (
    <FrontDoor>
      <SignInForm />
    </FrontDoor>
  );
}
