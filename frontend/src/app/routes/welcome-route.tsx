/** `/welcome#secret`: an invitation or a password link. What stands behind the # is sent to nobody by the browser. */

import { useState } from "react";

import { Mark } from "@/app/mark";
import { ThemeToggle } from "@/app/theme-toggle";
import { WelcomeForm } from "@/features/people/components/welcome-form";
import { usePageTitle } from "@/hooks/use-page-title";

export function WelcomeRoute() {
  usePageTitle("Welcome");
  const [secret] = useState(() => window.location.hash.slice(1));
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
          <WelcomeForm secret={secret} />
        </div>
      </main>
    </div>
  );
}
