/**
 * The settings of a run as the learner describes them (GET /api/v1/training-settings), and what a form makes of them.
 * Pure. Texts are what stands in the inputs; a text equal to the default sets nothing.
 */

export type Kind = "integer" | "number" | "boolean" | "choice" | "text";
export type Value = string | number | boolean | null;

/** `low`, `high`: allowed values; `above`, `below`: not allowed. `path`: where it lies in the run's config. */
export interface Setting {
  readonly path: string;
  readonly group: string;
  readonly label: string;
  readonly kind: string;
  readonly choices: readonly string[] | null;
  readonly is_optional: boolean;
  readonly default: Value;
  readonly unit: string;
  readonly low: number | null;
  readonly high: number | null;
  readonly above: number | null;
  readonly below: number | null;
  readonly pattern: string | null;
  readonly help: string;
}

export interface Algorithm {
  readonly name: string;
  readonly title: string;
  readonly help: string;
  readonly fields: readonly Setting[];
}

export interface Settings {
  readonly algorithms: readonly Algorithm[];
  readonly fields: readonly Setting[];
}

export type Config = Readonly<Record<string, unknown>>;
export type Texts = Readonly<Record<string, string>>;

export const textOf = (value: unknown): string => (typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "");

/** Path and value of each leaf of a config. */
export function flat(config: Config, prefix = ""): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, value]) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.entries(flat(Object.fromEntries(Object.entries(value)), `${prefix}${key}.`))
        : [[`${prefix}${key}`, value] as const],
    ),
  );
}

/** "1 to 65,536 rows", "more than 0, at most 1": what may be given; empty without limits. */
export function rangeText({ low, high, above, below, unit, is_optional }: Setting): string {
  const number = (value: number) => (Math.abs(value) >= 1e6 ? value.toExponential(0).replace("e+", "e") : value.toLocaleString("en-GB"));
  const least = low !== null ? `at least ${number(low)}` : above !== null ? `more than ${number(above)}` : "";
  const most = high !== null ? `at most ${number(high)}` : below !== null ? `less than ${number(below)}` : "";
  const range = low !== null && high !== null ? `${number(low)} to ${number(high)}` : [least, most].filter((part) => part !== "").join(", ");
  return [range, unit, is_optional ? "or empty for none" : ""].filter((part) => part !== "").join(" ");
}

/** What is wrong with a text; empty if nothing is. The server decides in the end. */
export function problemOf(setting: Setting, text: string): string {
  if (text.trim() === "") return setting.is_optional ? "" : "Give a value.";
  if (setting.kind === "choice") return setting.choices?.includes(text) === false ? "Choose one of the list." : "";
  if (setting.kind === "text") return setting.pattern === null || new RegExp(setting.pattern).test(text) ? "" : `Must be like ${setting.pattern}.`;
  if (setting.kind === "boolean") return "";
  const value = Number(text);
  if (!Number.isFinite(value)) return "Give a number.";
  if (setting.kind === "integer" && !Number.isInteger(value)) return "Give a whole number.";
  const { low, high, above, below } = setting;
  const fits = (low === null || value >= low) && (high === null || value <= high) && (above === null || value > above) && (below === null || value < below);
  return fits ? "" : `Must be ${rangeText({ ...setting, is_optional: false })}.`;
}

function valueOf({ kind }: Setting, text: string): Value {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  if (kind === "boolean") return trimmed === "true";
  return kind === "integer" || kind === "number" ? Number(trimmed) : trimmed;
}

/** Settings whose text is other than the default, as the learner's nested config. */
export function configOf(settings: readonly Setting[], texts: Texts): Config {
  const config: Record<string, unknown> = {};
  for (const setting of settings) {
    const value = valueOf(setting, texts[setting.path] ?? textOf(setting.default));
    if (value === setting.default) continue;
    const keys = setting.path.split(".");
    const last = keys.pop() ?? "";
    let group = config;
    for (const key of keys) group = (group[key] ??= {}) as Record<string, unknown>;
    group[last] = value;
  }
  return config;
}

/** The texts of a run's config: what the form of a copy begins with. */
export const textsOf = (config: Config): Texts =>
  Object.fromEntries(Object.entries(flat(config)).map(([path, value]) => [path, textOf(value)]));

export interface Difference {
  readonly setting: Setting;
  readonly before: string;
  readonly now: string;
}

/** What differs from a run's config, defaults included on both sides. */
export function differences(settings: readonly Setting[], config: Config, texts: Texts): readonly Difference[] {
  const given = textsOf(config);
  return settings.flatMap((setting) => {
    const usual = textOf(setting.default);
    const before = given[setting.path] ?? usual;
    const now = texts[setting.path] ?? usual;
    return valueOf(setting, before) === valueOf(setting, now) ? [] : [{ setting, before, now }];
  });
}

/** Neighbours of one group together, in the learner's order. */
export function grouped(settings: readonly Setting[]): readonly (readonly [string, readonly Setting[]])[] {
  const groups = new Map<string, Setting[]>();
  for (const setting of settings) groups.set(setting.group, [...(groups.get(setting.group) ?? []), setting]);
  return [...groups];
}
