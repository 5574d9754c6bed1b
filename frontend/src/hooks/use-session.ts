/** Who is signed in and what they may: GET /api/v1/session, the one place where controls ask before they show. */

import { useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nullable, record, text } from "@/lib/api/decode";
import { type Permission, refusal } from "@/lib/permissions";

export interface User {
  readonly username: string;
  readonly roles: readonly string[];
  /** What the roles allow, by the names of fleet/permissions.py. */
  readonly permissions: readonly string[];
  /** Their roles wait until they set a second factor up. */
  readonly lacks_totp: boolean;
  /** They see what `groups` cover, and nothing else. */
  readonly is_limited: boolean;
  readonly groups: readonly string[];
}

export interface Session {
  readonly user: User | null;
}

const names: Decoder<readonly string[]> = (value, path) => list(text)(value ?? [], path);
const flag: Decoder<boolean> = (value, path) => boolean(value ?? false, path);
const user = record<User>({ username: text, roles: names, permissions: names, lacks_totp: flag, is_limited: flag, groups: names });
const session = record<Session>({ user: nullable(user) });

export const sessionPath = "/api/v1/session";
export const sessionKey = ["session"] as const;

export const readSession = (signal?: AbortSignal): Promise<Session> => request(sessionPath, session, { signal });

/** The session; reading it also sets the CSRF cookie that writes need. */
export const useSession = () =>
  useQuery({ queryKey: sessionKey, queryFn: ({ signal }) => readSession(signal), staleTime: 5 * 60_000 });

/** Whether this person may, for showing or disabling controls; the server decides anew each time. */
export const useMay = (permission: Permission): boolean => useSession().data?.user?.permissions.includes(permission) ?? false;

/** Why this person may not, in words; null if they may. */
export function useRefusal(permission: Permission): string | null {
  const user = useSession().data?.user;
  return user?.permissions.includes(permission) === true ? null : refusal(permission, user?.is_limited);
}
