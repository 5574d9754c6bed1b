/** The session of a person who may everything, or just what a test says. */

import { type Permission, PERMISSIONS } from "@/lib/permissions";
import type { Answer } from "@/testing/render-app";

export const VIEWER: readonly Permission[] = ["see", "stop"];

export const signedIn = (permissions: readonly Permission[] = PERMISSIONS, username = "mara"): Answer => [
  200,
  { user: { username, permissions } },
];
