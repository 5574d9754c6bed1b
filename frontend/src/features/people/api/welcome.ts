/** What a one-time link is for, and its use: /api/v1/welcome. The secret travels in the body, never in an address. */

import { useMutation, useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, record, text } from "@/lib/api/decode";

export interface Welcome {
  readonly is_reset: boolean;
  readonly username: string;
  readonly roles: readonly string[];
  readonly invited_by: string;
  readonly expires_at: string;
}

const welcome = record<Welcome>({ is_reset: boolean, username: text, roles: list(text), invited_by: text, expires_at: text });
const path = "/api/v1/welcome";

export const useWelcome = (secret: string) =>
  useQuery({
    queryKey: ["welcome", secret],
    queryFn: async ({ signal }) => {
      await request("/api/v1/session", () => null, { signal }); // sets the CSRF cookie
      return request(path, welcome, { method: "POST", body: { secret }, signal });
    },
    enabled: secret !== "",
    retry: false,
    gcTime: 0,
  });

export const useAccept = () =>
  useMutation({
    mutationFn: (body: { readonly secret: string; readonly username: string; readonly password: string }) =>
      request(path, record({ username: text }), { method: "PUT", body }),
    gcTime: 0,
  });
