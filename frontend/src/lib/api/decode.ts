/**
 * Decoders for JSON from the server: unknown in, typed out, MalformedError with the path otherwise.
 *
 * Fields the console does not name are dropped, so the server may add some. Kept to what the console reads; a schema
 * library would be larger than all of it.
 */

import { MalformedError } from "@/lib/api/errors";

export type Decoder<T> = (value: unknown, path: string) => T;

function fail(path: string, wanted: string): never {
  throw new MalformedError(`The server's answer is not understood: ${path || "it"} should be ${wanted}.`);
}

export const text: Decoder<string> = (value, path) => (typeof value === "string" ? value : fail(path, "text"));

export const number: Decoder<number> = (value, path) =>
  typeof value === "number" && Number.isFinite(value) ? value : fail(path, "a number");

export const boolean: Decoder<boolean> = (value, path) => (typeof value === "boolean" ? value : fail(path, "a boolean"));

export const nullable =
  <T>(decoder: Decoder<T>): Decoder<T | null> =>
  (value, path) =>
    value === null || value === undefined ? null : decoder(value, path);

export const list =
  <T>(decoder: Decoder<T>): Decoder<readonly T[]> =>
  (value, path) =>
    Array.isArray(value) ? value.map((item, index) => decoder(item, `${path}[${index}]`)) : fail(path, "a list");

export const record =
  <T extends object>(fields: { readonly [K in keyof T]: Decoder<T[K]> }): Decoder<T> =>
  (value, path) => {
    if (typeof value !== "object" || value === null) fail(path, "an object");
    const source = value as Readonly<Record<string, unknown>>;
    const entries = Object.entries<Decoder<unknown>>(fields).map(([key, decoder]) => [
      key,
      decoder(source[key], path ? `${path}.${key}` : key),
    ]);
    return Object.fromEntries(entries) as T;
  };

/** JSON whose fields the console does not know beforehand. */
export const object: Decoder<Readonly<Record<string, unknown>>> = (value, path) =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : fail(path, "an object");

/** For answers without a body (204). */
export const nothing: Decoder<null> = () => null;
