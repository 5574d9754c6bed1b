/** This person's API tokens: GET and POST /api/v1/tokens, DELETE of one. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, nothing, nullable, number, record, text } from "@/lib/api/decode";

/** Times are ISO 8601. `prefix`: how the secret begins. `last_used_at`: exact to a minute. */
export interface Token {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly string[];
  readonly created_at: string;
  readonly expires_at: string;
  readonly revoked_at: string | null;
  readonly last_used_at: string | null;
  readonly last_used_ip: string | null;
}

export interface Scope {
  readonly name: string;
  readonly about: string;
}

export interface Tokens {
  readonly results: readonly Token[];
  readonly scopes: readonly Scope[];
  readonly max_valid_s: number;
}

export interface TokenWish {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly valid_s: number;
}

const token = record<Token>({
  id: text,
  name: text,
  prefix: text,
  scopes: list(text),
  created_at: text,
  expires_at: text,
  revoked_at: nullable(text),
  last_used_at: nullable(text),
  last_used_ip: nullable(text),
});
const tokens = record<Tokens>({
  results: list(token),
  scopes: list(record<Scope>({ name: text, about: text })),
  max_valid_s: number,
});
const created = record({ secret: text, name: text });
const path = "/api/v1/tokens";
const key = ["tokens"] as const;

export const useTokens = () => useQuery({ queryKey: key, queryFn: ({ signal }) => request(path, tokens, { signal }) });

/** The answer holds the secret, which nobody can read again; it is kept out of the query cache. */
export function useCreateToken() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: TokenWish) => request(path, created, { method: "POST", body }),
    onSuccess: () => client.invalidateQueries({ queryKey: key }),
    gcTime: 0,
  });
}

export function useRevokeToken() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => request(`${path}/${encodeURIComponent(id)}`, nothing, { method: "DELETE" }),
    onSettled: () => client.invalidateQueries({ queryKey: key }),
  });
}
