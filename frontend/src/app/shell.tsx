/** The frame of every page behind the sign-in: skip link, bar with navigation, the live link, the page itself. */

import { Link, Outlet } from "react-router";

import { CommandPalette } from "@/app/command-palette";
import { ConnectionBanner, ConnectionChip } from "@/app/connection-chip";
import { MainNav } from "@/app/main-nav";
import { Mark } from "@/app/mark";
import { RenewalChip } from "@/app/renewal-chip";
import { ThemeToggle } from "@/app/theme-toggle";
import { AlertBadge } from "@/features/alerts/components/alert-badge";
import { useAlertWatch } from "@/features/alerts/hooks/use-alert-watch";
import { HelpBadge } from "@/features/help/components/help-badge";
import { useHelpAlerts } from "@/features/help/hooks/use-help-alerts";
import { useMay, useSession } from "@/hooks/use-session";
import { UserMenu } from "@/features/people/components/user-menu";
import { useHome } from "@/hooks/use-home";
import { usePageFocus } from "@/hooks/use-page-focus";
import { useFleetLink } from "@/lib/socket/use-fleet-link";

const badges = { "/help": <HelpBadge />, "/alerts": <AlertBadge /> };

export function Shell() {
  useFleetLink();
  useHelpAlerts();
  usePageFocus("main");
  const [home] = useHome();
  useAlertWatch(useMay("see"));
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
          <Link to={home} aria-label="SOP, to your start page" className="flex items-center gap-2.5 rounded-md font-semibold">
            <Mark className="size-6" />
            SOP
          </Link>
          <MainNav badges={badges} />
          <ConnectionChip />
          <RenewalChip />
          <CommandPalette />
          <ThemeToggle />
          <UserMenu />
        </div>
        <ConnectionBanner />
        <LimitNote />
      </header>
      <main id="main" tabIndex={-1} className="p-4 outline-none">
        <Outlet />
      </main>
    </div>
  );
}

/** Lists, counts and charts are of what groups cover: said on every page to whom they limit. */
function LimitNote() {
  const user = useSession().data?.user;
  if (user?.is_limited !== true) return null;
  return (
    <p className="border-b border-line bg-raised px-4 py-1 text-xs text-ink-muted">
      {user.groups.length === 0
        ? "You are in no group and see nothing of the fleet: ask an admin."
        : `You see what your groups cover: ${user.groups.join(", ")}. Lists and charts count nothing else.`}
    </p>
  );
}
