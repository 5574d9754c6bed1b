/** The library's filter: what of the URL belongs to it, and the same as JSON for bodies. */

import { FACETS } from "@/features/episodes/api/episodes";

const SINGLE = ["share_min", "share_max", "ended_from", "ended_until", "text", "archived", "damaged"] as const;
export type SingleField = (typeof SINGLE)[number];

/** What `sort` may be; "-" begins with the largest. */
export const SORTS = [
  { value: "-registered", label: "Newest first" },
  { value: "registered", label: "Oldest first" },
  { value: "-ended", label: "Ended last" },
  { value: "ended", label: "Ended first" },
  { value: "-share", label: "Most help" },
  { value: "share", label: "Least help" },
  { value: "-steps", label: "Longest" },
  { value: "steps", label: "Shortest" },
  { value: "-size", label: "Largest" },
] as const;
export const DEFAULT_SORT = SORTS[0].value;

/** The filter of a page's URL in one order, without anything else, so that equal filters are equal texts. */
export function filterOf(parameters: URLSearchParams): URLSearchParams {
  const filter = new URLSearchParams();
  for (const facet of FACETS) {
    for (const value of parameters.getAll(facet).toSorted()) if (value !== "") filter.append(facet, value);
  }
  for (const field of SINGLE) {
    const value = parameters.get(field);
    if (value !== null && value !== "") filter.set(field, value);
  }
  return filter;
}

/** As the API takes it in a body. */
export function toJson(filter: URLSearchParams): Record<string, unknown> {
  const facets = FACETS.filter((facet) => filter.has(facet)).map((facet) => [facet, filter.getAll(facet)]);
  const single = SINGLE.filter((field) => filter.has(field)).map((field) => [field, filter.get(field)]);
  return Object.fromEntries([...facets, ...single]) as Record<string, unknown>;
}

/** And back, as it was saved. */
export function fromJson(query: Readonly<Record<string, unknown>>): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof each === "string" || typeof each === "number") parameters.append(name, `${each}`);
    }
  }
  return parameters;
}
