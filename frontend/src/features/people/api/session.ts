/** Signing in and out: POST and DELETE /api/v1/session. */

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { readSession, type Session, sessionKey, sessionPath } from "@/hooks/use-session";
import { request } from "@/lib/api/client";
import { nothing } from "@/lib/api/decode";

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** Of the second factor, once the server asked for it. */
  readonly code?: string;
}

/** Sign in. The new session is read back rather than taken from the answer: its CSRF cookie is new too. */
export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (credentials: Credentials) => {
      await request(sessionPath, (value) => value, { method: "POST", body: credentials });
      return readSession();
    },
    onSuccess: (data) => client.setQueryData(sessionKey, data),
  });
}

/** Sign out and forget everything that was read. */
export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => request(sessionPath, nothing, { method: "DELETE" }),
    onSuccess: () => {
      client.setQueryData<Session>(sessionKey, { user: null });
      client.removeQueries({ predicate: (query) => query.queryKey[0] !== sessionKey[0] });
    },
  });
}
