/**
 * The page on which a person starts: by their role, or as they chose. The choice is kept in this browser for each
 * person apart; the server has no settings of people.
 */

import { useSyncExternalStore } from "react";

import { useSession } from "@/hooks/use-session";

export const HOMES = [
  { value: "/", label: "Fleet" },
  { value: "/wall", label: "Wall and queue" },
  { value: "/reports", label: "Reports" },
  { value: "/datasets", label: "Datasets" },
] as const;
export type Home = (typeof HOMES)[number]["value"];

/** The first role that a person has decides. */
const BY_ROLE: readonly (readonly [role: string, home: Home])[] = [
  ["admin", "/"],
  ["manager", "/reports"],
  ["operator", "/wall"],
  ["exporter", "/datasets"],
];

export const homeOfRoles = (roles: readonly string[]): Home => BY_ROLE.find(([role]) => roles.includes(role))?.[1] ?? "/";

const listeners = new Set<() => void>();
const keyOf = (person: string) => `sop.home.${person}`;

function chosenBy(person: string): Home | null {
  try {
    const value = localStorage.getItem(keyOf(person));
    return HOMES.find((home) => home.value === value)?.value ?? null;
  } catch {
    return null; // storage may be forbidden
  }
}

function choose(person: string, home: Home | null): void {
  try {
    if (home === null) localStorage.removeItem(keyOf(person));
    else localStorage.setItem(keyOf(person), home);
  } catch {
    // Then the role decides.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Where this person starts, what they chose themselves, and choosing; null lets the role decide. */
export function useHome(): readonly [home: Home, chosen: Home | null, choose: (home: Home | null) => void] {
  const user = useSession().data?.user;
  const person = user?.username ?? "";
  const chosen = useSyncExternalStore(subscribe, () => chosenBy(person));
  return [chosen ?? homeOfRoles(user?.roles ?? []), chosen, (home) => choose(person, home)];
}
