/** The frame of the pages that one sees before one is signed in. */

import type { ReactNode } from "react";

import { Mark } from "@/app/mark";
import { ThemeToggle } from "@/app/theme-toggle";

export function FrontDoor({ children }: { readonly children: ReactNode }) {
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
        <div className="rounded-xl border border-line bg-surface p-5">{children}</div>
      </main>
    </div>
  );
}
