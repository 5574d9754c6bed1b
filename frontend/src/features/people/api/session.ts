/** Who is signed in: GET, POST and DELETE /api/v1/session. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nothing, nullable, record, text } from "@/lib/api/decode";

export interface User {
  readonly username: string;
  /** What the roles allow, by the names of fleet/permissions.py. */
  readonly permissions: readonly string[];
  /** Their roles wait until they set a second factor up. */
  readonly lacks_totp: boolean;
}

interface Session {
  readonly user: User | null;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** Of the second factor, once the server asked for it. */
  readonly code?: string;
}

const permissions: Decoder<readonly string[]> = (value, path) => list(text)(value ?? [], path);
const lacks: Decoder<boolean> = (value, path) => boolean(value ?? false, path);
const session = record<Session>({ user: nullable(record<User>({ username: text, permissions, lacks_totp: lacks })) });
const path = "/api/v1/session";
export const sessionKey = ["session"] as const;

/** The session; reading it also sets the CSRF cookie that writes need. */
export const useSession = () =>
  useQuery({
    queryKey: sessionKey,
    queryFn: ({ signal }) => request(path, session, { signal }),
    staleTime: 5 * 60_000,
  });

/** Whether this person may, for showing or disabling controls; the server decides anew each time. */
export const useMay = (permission: string): boolean => useSession().data?.user?.permissions.includes(permission) ?? false;

/** Sign in. The new session is read back rather than taken from the answer: its CSRF cookie is new too. */
export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (credentials: Credentials) => {
      await request(path, (value) => value, { method: "POST", body: credentials });
      return request(path, session);
    },
    onSuccess: (data) => client.setQueryData(sessionKey, data),
  });
}

/** Sign out and forget everything that was read. */
export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => request(path, nothing, { method: "DELETE" }),
    onSuccess: () => {
      client.setQueryData<Session>(sessionKey, { user: null });
      client.removeQueries({ predicate: (query) => query.queryKey[0] !== sessionKey[0] });
    },
  });
}
