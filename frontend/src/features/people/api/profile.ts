/** One's own account: /api/v1/profile. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { sessionKey } from "@/hooks/use-session";
import { request } from "@/lib/api/client";
import { boolean, list, nothing, nullable, number, record, text } from "@/lib/api/decode";

export interface SessionRow {
  readonly id: string;
  readonly last_seen_at: string;
  readonly address: string | null;
  readonly agent: string;
  readonly is_this: boolean;
}

export interface Profile {
  readonly username: string;
  readonly roles: readonly string[];
  readonly has_totp: boolean;
  readonly totp_needed: boolean;
  readonly recovery_codes_left: number;
  readonly sessions: readonly SessionRow[];
}

export interface FactorSetup {
  readonly secret: string;
  readonly uri: string;
  readonly qr_svg: string;
}

const session = record<SessionRow>({ id: text, last_seen_at: text, address: nullable(text), agent: text, is_this: boolean });
const profile = record<Profile>({
  username: text,
  roles: list(text),
  has_totp: boolean,
  totp_needed: boolean,
  recovery_codes_left: number,
  sessions: list(session),
});
const setup = record<FactorSetup>({ secret: text, uri: text, qr_svg: text });
const codes = record<{ readonly recovery_codes: readonly string[] }>({ recovery_codes: list(text) });
const path = "/api/v1/profile";
const key = ["profile"] as const;

export const useProfile = () => useQuery({ queryKey: key, queryFn: ({ signal }) => request(path, profile, { signal }) });

/** What the session may changes with the second factor, so both are read again. */
function useRefresh() {
  const client = useQueryClient();
  return () => Promise.all([client.invalidateQueries({ queryKey: key }), client.invalidateQueries({ queryKey: sessionKey })]);
}

export function useChangePassword() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (body: { readonly old: string; readonly new: string }) =>
      request(`${path}/password`, nothing, { method: "POST", body }),
    onSuccess: refresh,
    gcTime: 0,
  });
}

export function useEndSessions() {
  const refresh = useRefresh();
  return useMutation({
    /** One by its id, or all others. */
    mutationFn: (id: string | null) => request(id === null ? `${path}/sessions` : `${path}/sessions/${id}`, () => null, { method: "DELETE" }),
    onSettled: refresh,
  });
}

export const useBeginFactor = () =>
  useMutation({
    mutationFn: (password: string) => request(`${path}/totp`, setup, { method: "POST", body: { password } }),
    gcTime: 0,
  });

export function useConfirmFactor() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (code: string) => request(`${path}/totp`, codes, { method: "PUT", body: { code } }),
    onSuccess: refresh,
    gcTime: 0,
  });
}

export function useDropFactor() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (password: string) => request(`${path}/totp`, nothing, { method: "DELETE", body: { password } }),
    onSuccess: refresh,
    gcTime: 0,
  });
}

export function useRenewCodes() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (code: string) => request(`${path}/recovery-codes`, codes, { method: "POST", body: { code } }),
    onSuccess: refresh,
    gcTime: 0,
  });
}
