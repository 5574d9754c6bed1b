/** Robots as admins see them: enrolment codes, approval, names and tags, keys, retirement. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nothing, nullable, number, object, record, text } from "@/lib/api/decode";

/** `driver`: the name that its newest connection gave, null before the first. */
export interface Robot {
  readonly id: string;
  readonly name: string;
  readonly is_paused: boolean;
  readonly driver: string | null;
  readonly daemon_version: string;
  /** Of its newest Hello, whether the server speaks it or not; null before the first. */
  readonly protocol: number | null;
  readonly enrolled_at: string;
  readonly last_seen_at: string | null;
  readonly tags: readonly string[];
  readonly note: string;
  readonly is_approved: boolean;
  readonly retired_at: string | null;
  readonly revision: number;
}

export interface Key {
  readonly id: string;
  readonly created_at: string;
  readonly revoked_at: string | null;
}

/** A one-time code without its secret. `robot`: it renews this robot's key. */
export interface Code {
  readonly id: string;
  readonly note: string;
  readonly created_at: string;
  readonly expires_at: string;
  readonly used_at: string | null;
  readonly used_by: string | null;
  readonly revoked_at: string | null;
  readonly needs_approval: boolean;
  readonly robot: string | null;
}

/** Shown once. `qr`: an SVG picture of the code as a data URL. */
export interface NewCode extends Code {
  readonly code: string;
  readonly command: string;
  readonly qr: string;
}

export interface CodeWish {
  readonly note: string;
  readonly valid_s: number;
  readonly needs_approval: boolean;
  readonly robot: string | null;
}

const driverName: Decoder<string | null> = (value, path) => nullable(text)(object(value, path).name, path);
const robot = record<Robot>({
  id: text,
  name: text,
  is_paused: boolean,
  driver: driverName,
  daemon_version: text,
  protocol: nullable(number),
  enrolled_at: text,
  last_seen_at: nullable(text),
  tags: list(text),
  note: text,
  is_approved: boolean,
  retired_at: nullable(text),
  revision: number,
});
const codeFields = {
  id: text,
  note: text,
  created_at: text,
  expires_at: text,
  used_at: nullable(text),
  used_by: nullable(text),
  revoked_at: nullable(text),
  needs_approval: boolean,
  robot: nullable(text),
};
const code = record<Code>(codeFields);
const newCode = record<NewCode>({ ...codeFields, code: text, command: text, qr: text });
const robots = record({ results: list(robot) });
const codes = record({ results: list(code) });
const keys = record({ results: list(record<Key>({ id: text, created_at: text, revoked_at: nullable(text) })) });

const path = "/api/v1/robots";
const codesPath = "/api/v1/enrolment-codes";
const key = ["admin-robots"] as const;
const codesKey = ["enrolment-codes"] as const;
/** A robot that enrols while the page is open shall appear. */
const EVERY_MS = 5000;

export const useRobotRows = () =>
  useQuery({
    queryKey: key,
    queryFn: ({ signal }) => request(`${path}?page_size=200`, robots, { signal }),
    select: ({ results }) => results,
    refetchInterval: EVERY_MS,
  });

export const useCodes = () =>
  useQuery({
    queryKey: codesKey,
    queryFn: ({ signal }) => request(`${codesPath}?page_size=50`, codes, { signal }),
    select: ({ results }) => results.filter((each) => each.used_at === null && each.revoked_at === null),
    refetchInterval: EVERY_MS,
  });

export const useKeys = (id: string) =>
  useQuery({
    queryKey: [...key, id, "keys"],
    queryFn: ({ signal }) => request(`${path}/${id}/keys`, keys, { signal }),
    select: ({ results }) => results,
  });

function useForget() {
  const client = useQueryClient();
  return () =>
    Promise.all([client.invalidateQueries({ queryKey: key }), client.invalidateQueries({ queryKey: codesKey })]);
}

export function useChangeRobot() {
  const forget = useForget();
  return useMutation({
    mutationFn: ({ row, change }: { readonly row: Robot; readonly change: object }) =>
      request(`${path}/${row.id}`, robot, { method: "PATCH", body: change, ifMatch: `"${row.revision}"` }),
    onSettled: forget,
  });
}

export type RobotAct = "approve" | "retire";

export function useRobotAct() {
  const forget = useForget();
  return useMutation({
    mutationFn: ({ row, act }: { readonly row: Robot; readonly act: RobotAct }) =>
      request(`${path}/${row.id}/${act}`, nothing, { method: "POST" }),
    onSettled: forget,
  });
}

export function useRevokeKey(robotId: string) {
  const forget = useForget();
  return useMutation({
    mutationFn: (id: string) => request(`${path}/${robotId}/keys/${id}`, (value) => value, { method: "DELETE" }),
    onSettled: forget,
  });
}

export function useMakeCode() {
  const forget = useForget();
  return useMutation({
    mutationFn: (wish: CodeWish) => request(codesPath, newCode, { method: "POST", body: wish }),
    onSettled: forget,
  });
}

export function useRevokeCode() {
  const forget = useForget();
  return useMutation({
    mutationFn: (id: string) => request(`${codesPath}/${id}`, (value) => value, { method: "DELETE" }),
    onSettled: forget,
  });
}
