/** People as who manages them sees them: /api/v1/people and /api/v1/invitations. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nothing, nullable, number, record, text } from "@/lib/api/decode";

/** Times are ISO 8601. `needs_totp`: their roles wait until they set a second factor up. `version`: a change names the one that was read. */
export interface Person {
  readonly id: number;
  readonly username: string;
  readonly name: string;
  readonly email: string;
  readonly roles: readonly string[];
  readonly is_active: boolean;
  readonly has_totp: boolean;
  readonly needs_totp: boolean;
  readonly sessions: number;
  readonly joined_at: string;
  readonly last_login_at: string | null;
  readonly version: string;
  /** They see what `groups` cover, and nothing without any. */
  readonly is_limited: boolean;
  readonly groups: readonly string[];
}

export interface Role {
  readonly name: string;
  readonly permissions: readonly string[];
}

export interface People {
  readonly results: readonly Person[];
  readonly roles: readonly Role[];
}

export interface Invitation {
  readonly id: string;
  readonly email: string;
  readonly roles: readonly string[];
  readonly created_by_name: string;
  readonly expires_at: string;
}

/** `url` is shown once: the server keeps a hash. */
export interface OneTimeLink {
  readonly url: string;
  readonly expires_at: string;
  readonly is_mailed: boolean;
}

export interface PersonChange {
  readonly roles?: readonly string[];
  readonly is_active?: boolean;
  readonly is_limited?: false;
}

const person = record<Person>({
  id: number,
  username: text,
  name: text,
  email: text,
  roles: list(text),
  is_active: boolean,
  has_totp: boolean,
  needs_totp: boolean,
  sessions: number,
  joined_at: text,
  last_login_at: nullable(text),
  version: text,
  is_limited: boolean,
  groups: list(text),
});
const people = record<People>({
  results: list(person),
  roles: list(record<Role>({ name: text, permissions: list(text) })),
});
const invitation = record<Invitation>({ id: text, email: text, roles: list(text), created_by_name: text, expires_at: text });
const invitations = record<{ readonly results: readonly Invitation[] }>({ results: list(invitation) });
const link = record<OneTimeLink>({ url: text, expires_at: text, is_mailed: boolean });
const peopleKey = ["people"] as const;
const invitationsKey = ["invitations"] as const;

export const usePeople = () =>
  useQuery({ queryKey: peopleKey, queryFn: ({ signal }) => request("/api/v1/people", people, { signal }) });

export const useInvitations = () =>
  useQuery({ queryKey: invitationsKey, queryFn: ({ signal }) => request("/api/v1/invitations", invitations, { signal }) });

export function useChangePerson(id: number, version: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: PersonChange) => request(`/api/v1/people/${id}`, person, { method: "PATCH", body, ifMatch: `"${version}"` }),
    onSettled: () => client.invalidateQueries({ queryKey: peopleKey }),
  });
}

export function useInvite() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { readonly roles: readonly string[]; readonly email: string; readonly groups: readonly string[] }) =>
      request("/api/v1/invitations", link, { method: "POST", body }),
    onSuccess: () => client.invalidateQueries({ queryKey: invitationsKey }),
    gcTime: 0,
  });
}

export function useWithdraw() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => request(`/api/v1/invitations/${encodeURIComponent(id)}`, nothing, { method: "DELETE" }),
    onSettled: () => client.invalidateQueries({ queryKey: invitationsKey }),
  });
}

export const useResetLink = (id: number) =>
  useMutation({ mutationFn: () => request(`/api/v1/people/${id}/reset`, link, { method: "POST" }), gcTime: 0 });

export function useRemoveFactor(id: number) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => request(`/api/v1/people/${id}/totp`, nothing, { method: "DELETE" }),
    onSettled: () => client.invalidateQueries({ queryKey: peopleKey }),
  });
}
