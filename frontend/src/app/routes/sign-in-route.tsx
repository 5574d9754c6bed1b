/** `/sign-in`: leads on to where the visitor was going, or to where they start. */

import { Navigate, useSearchParams } from "react-router";

import { Mark } from "@/app/mark";
import { ThemeToggle } from "@/app/theme-toggle";
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
    <div className="grid min-h-dvh grid-rows-[auto_1fr] p-4">
      <div className="justify-self-end">
        <ThemeToggle />
      </div>
      <main className="w-full max-w-88 place-self-center pb-24">
        <div className="mb-6 flex items-center gap-3">
          <Mark className="size-9" />
          <div>
            <h1 className="text-xl font-semibold">SOP console</h1>
            <p className="text-sm text-ink-muted">Robots at work, policies learning from them</p>
          </div>
        </div>
        <div className="rounded-xl border border-line bg-surface p-5">
          <SignInForm />
        </div>
      </main>
    </div>
  );
}
