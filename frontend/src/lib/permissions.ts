/**
 * What a person may be allowed, by the names of fleet/permissions.py (tests/architecture/test_console_permissions.py
 * compares the two), and how the console says that it is not. Which role allows what is the server's matter.
 */

const doing = {
  see: "watch the fleet",
  stop: "stop robots",
  drive: "drive robots",
  take: "take robots from other people",
  clear_stop: "clear stops",
  label: "label episodes",
  label_bulk: "label many episodes at once",
  archive: "archive episodes",
  undo_bulk: "take back what others labelled",
  rank_help: "order the help queue",
  export: "export",
  import: "import",
  curate: "change datasets",
  edit_tasks: "change tasks",
  assign: "assign tasks",
  edit_robots: "change robots",
  enrol_robots: "enrol and retire robots",
  run_training: "start training",
  release_versions: "release versions",
  acknowledge_alerts: "acknowledge alerts",
  edit_alerts: "change alert rules",
  manage_people: "manage people",
  see_audit: "read the audit log",
  edit_settings: "change settings",
} as const;

export type Permission = keyof typeof doing;

export const PERMISSIONS = Object.keys(doing) as readonly Permission[];

/** "Your role does not let you export." `isLimited`: groups may be why, for some things reach the whole fleet. */
export const refusal = (permission: Permission, isLimited = false): string =>
  `Your role ${isLimited ? "and groups do" : "does"} not let you ${doing[permission]}.`;
