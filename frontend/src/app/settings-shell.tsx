/** The frame of every settings page: their names at the left (above, where it is narrow), the page beside them. */

import { Navigate, NavLink, Outlet } from "react-router";

import { permitted, settingsPages } from "@/app/pages";
import { useSession } from "@/hooks/use-session";
import { cn } from "@/lib/class-names";

export function SettingsShell() {
  const permissions = useSession().data?.user?.permissions ?? [];
  const pages = permitted(settingsPages, permissions);
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
        <Outlet />
      </div>
    </div>
  );
}

/** `/settings` itself shows the first page. */
export const SettingsStart = () => <Navigate to={settingsPages[0]?.to ?? "/"} replace />;
