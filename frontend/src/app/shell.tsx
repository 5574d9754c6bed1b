/** The frame of every page behind the sign-in: skip link, bar with navigation, the live link, the page itself. */

import type { ReactNode } from "react";
import { NavLink, Outlet } from "react-router";

import { ConnectionBanner, ConnectionChip } from "@/app/connection-chip";
import { Mark } from "@/app/mark";
import { ThemeToggle } from "@/app/theme-toggle";
import { HelpBadge } from "@/features/help/components/help-badge";
import { useHelpAlerts } from "@/features/help/hooks/use-help-alerts";
import { UserMenu } from "@/features/people/components/user-menu";
import { cn } from "@/lib/class-names";
import { useFleetLink } from "@/lib/socket/use-fleet-link";

/** Pages that exist, in the order of the day's work. Each later page adds its line here. */
const pages: readonly { readonly to: string; readonly label: string; readonly badge?: ReactNode }[] = [
  { to: "/", label: "Fleet" },
  { to: "/help", label: "Help", badge: <HelpBadge /> },
  { to: "/episodes", label: "Episodes" },
  { to: "/datasets", label: "Datasets" },
  { to: "/training", label: "Training" },
  { to: "/versions", label: "Versions" },
  { to: "/reports", label: "Reports" },
  { to: "/status", label: "Status" },
  { to: "/settings", label: "Settings" },
];

export function Shell() {
  useFleetLink();
  useHelpAlerts();
  return (
    <div className="min-h-dvh">
      <a
        href="#main"
        className="fixed top-1.5 left-2 z-50 -translate-y-16 rounded-md bg-action px-3 py-2 text-ink-inverse focus:translate-y-0"
      >
        Skip to the page
      </a>
      <header className="sticky top-0 z-30">
        <div className="flex h-12 items-center gap-3 border-b border-line bg-surface px-4">
          <div className="flex items-center gap-2.5 font-semibold">
            <Mark className="size-6" />
            SOP
          </div>
          <nav aria-label="Main" className="flex min-w-0 grow gap-1 overflow-x-auto pl-3">
            {pages.map((page) => (
              <NavLink
                key={page.to}
                to={page.to}
                end={page.to === "/"}
                className={({ isActive }) =>
                  cn(
                    "-outline-offset-2 flex h-12 items-center border-y-2 border-transparent px-2.5 text-sm",
                    isActive ? "border-b-ink font-medium" : "text-ink-muted hover:text-ink",
                  )
                }
              >
                {page.label}
                {page.badge === undefined ? null : <> {page.badge}</>}
              </NavLink>
            ))}
          </nav>
          <ConnectionChip />
          <ThemeToggle />
          <UserMenu />
        </div>
        <ConnectionBanner />
      </header>
      <main id="main" tabIndex={-1} className="p-4 outline-none">
        <Outlet />
      </main>
    </div>
  );
}
