/** What changed, field by field, as a person reads it. */

export interface Difference {
  readonly field: string;
  /** Null: there was nothing before, or there is nothing after. */
  readonly before: string | null;
  readonly after: string | null;
}

type Values = Readonly<Record<string, unknown>> | null;

/** Fields in the order of the newer state, then those that are gone. */
export function differencesOf(before: Values, after: Values): readonly Difference[] {
  const fields = [...new Set([...Object.keys(after ?? {}), ...Object.keys(before ?? {})])];
  return fields.map((field) => ({
    field: field.replaceAll("_", " "),
    before: before !== null && field in before ? shown(before[field]) : null,
    after: after !== null && field in after ? shown(after[field]) : null,
  }));
}

function shown(value: unknown): string {
  if (value === null || value === "") return "nothing";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(shown).join(", ");
  return JSON.stringify(value);
}

/** "lease.take" as "lease: take", "robot.stop_clear" as "robot: stop clear". */
export const actionWords = (action: string): string => action.replace(".", ": ").replaceAll("_", " ");
