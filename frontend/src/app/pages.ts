/** The console's pages by name: what the navigation bars and the palette list. Each later page adds its line here. */

import type { Permission } from "@/lib/permissions";

export interface PageLink {
  readonly to: string;
  readonly label: string;
  /** Shown to those who may; the server refuses everyone else all the same. */
  readonly needs?: Permission;
}

/** In the order of the day's work. */
export const mainPages: readonly PageLink[] = [
  { to: "/", label: "Fleet" },
  { to: "/help", label: "Help" },
  { to: "/alerts", label: "Alerts" },
  { to: "/episodes", label: "Episodes" },
  { to: "/datasets", label: "Datasets" },
  { to: "/training", label: "Training" },
  { to: "/versions", label: "Versions" },
  { to: "/reports", label: "Reports" },
  { to: "/status", label: "Status" },
  { to: "/settings", label: "Settings" },
];

export const datasetPages: readonly PageLink[] = [
  { to: "/datasets", label: "Datasets" },
  { to: "/datasets/exports", label: "Exports" },
  { to: "/datasets/imports", label: "Imports" },
];

/** What is one's own first. */
export const settingsPages: readonly PageLink[] = [
  { to: "/settings/profile", label: "Your account" },
  { to: "/settings/tokens", label: "API tokens" },
  { to: "/settings/robots", label: "Robots" },
  { to: "/settings/tasks", label: "Tasks" },
  { to: "/settings/assignments", label: "Assignments" },
  { to: "/settings/people", label: "People", needs: "manage_people" },
  { to: "/settings/groups", label: "Groups", needs: "manage_people" },
  { to: "/settings/audit", label: "Audit log", needs: "see_audit" },
  { to: "/settings/storage", label: "Storage", needs: "edit_settings" },
  { to: "/settings/webhooks", label: "Webhooks", needs: "edit_settings" },
];

/** In no bar: found by the palette, or by a link of their page. */
export const otherPages: readonly PageLink[] = [
  { to: "/wall", label: "Wall and queue" },
  { to: "/reports/periods", label: "Compare two periods" },
];

/** What a link with `?new=1` opens on its page. */
export const actions: readonly (PageLink & { readonly needs: Permission })[] = [
  { to: "/datasets?new=1", label: "New dataset", needs: "curate" },
  { to: "/settings/tasks?new=1", label: "Define a task", needs: "edit_tasks" },
  { to: "/settings/robots?new=1", label: "Enrol a robot", needs: "enrol_robots" },
  { to: "/settings/people?new=1", label: "Invite a person", needs: "manage_people" },
  { to: "/settings/assignments", label: "Assign tasks to robots", needs: "assign" },
  { to: "/datasets/imports", label: "Import a dataset", needs: "import" },
];

export const permitted = <Link extends PageLink>(pages: readonly Link[], permissions: readonly string[]): readonly Link[] =>
  pages.filter((page) => page.needs === undefined || permissions.includes(page.needs));
