/** The frame of the pages about datasets: their names as a bar above, the page below. */

import { NavLink, Outlet } from "react-router";

import { datasetPages } from "@/app/pages";
import { cn } from "@/lib/class-names";

export function DatasetsShell() {
  return (
    <>
      {datasetPages.length > 1 ? (
        <nav aria-label="Datasets" className="mb-3 flex gap-0.5 overflow-x-auto">
          {datasetPages.map((page) => (
            <NavLink
              key={page.to}
              to={page.to}
              end
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
      ) : null}
      <Outlet />
    </>
  );
}
