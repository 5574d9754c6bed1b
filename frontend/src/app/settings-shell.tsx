/** The frame of every settings page: their names at the left (above, where it is narrow), the page beside them. */

import { Navigate, NavLink, Outlet, useLocation } from "react-router";

import { permitted, settingsPages } from "@/app/pages";
import { Card } from "@/components/ui/card";
import { NoRight } from "@/components/ui/read-failed";
import { usePageTitle } from "@/hooks/use-page-title";
import { useRefusal, useSession } from "@/hooks/use-session";
import { cn } from "@/lib/class-names";
import type { Permission } from "@/lib/permissions";

export function SettingsShell() {
  const permissions = useSession().data?.user?.permissions ?? [];
  const pages = permitted(settingsPages, permissions);
  const { pathname } = useLocation();
  const refused = settingsPages.find((page) => pathname.startsWith(page.to) && !pages.includes(page));
  return (
    <div className="grid items-start gap-x-6 gap-y-4 md:grid-cols-[11rem_minmax(0,1fr)]">
      <div className="min-w-0">
        <p className="mb-2 px-2.5 text-xl font-semibold">Settings</p>
        <nav aria-label="Settings" className="flex gap-0.5 overflow-x-auto md:flex-col">
          {pages.map((page) => (
            <NavLink
              key={page.to}
              to={page.to}
              className={({ isActive }) =>
                cn(
                  "-outline-offset-2 rounded-md px-2.5 py-1.5 text-sm whitespace-nowrap",
                  isActive ? "bg-inset font-medium" : "text-ink-muted hover:bg-raised hover:text-ink",
                )
              }
            >
              {page.label}
            </NavLink>
          ))}
        </nav>
      </div>
      <div className="min-w-0">
        {refused?.needs === undefined ? <Outlet /> : <Refused page={refused.label} needs={refused.needs} />}
      </div>
    </div>
  );
}

/** A page that is in no bar of this person, opened by its address: names the right that it takes. */
function Refused({ page, needs }: { readonly page: string; readonly needs: Permission }) {
  usePageTitle(page);
  return (
    <Card>
      <h1 className="sr-only">{page}</h1>
      <NoRight why={useRefusal(needs) ?? ""} />
    </Card>
  );
}

/** `/settings` itself shows the first page. */
export const SettingsStart = () => <Navigate to={settingsPages[0]?.to ?? "/"} replace />;
