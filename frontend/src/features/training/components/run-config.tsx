/** What was set for a run, group by group, and where its full-resolution numbers lie. */

import { Panel } from "@/components/ui/card";
import type { RunDetail } from "@/features/training/api/runs";
import { sentence, words } from "@/features/training/chart-specs";

type Config = Readonly<Record<string, unknown>>;

/** Last parts of keys that say the unit. */
const UNITS: Readonly<Record<string, string>> = { s: "s", steps: "steps", frames: "frames", bytes: "bytes" };

export function RunConfig({ run: { name, config, seed } }: { readonly run: Pick<RunDetail, "name" | "config" | "seed"> }) {
  const entries = Object.entries(config);
  const plain = entries.filter(([, value]) => !isGroup(value));
  const groups = entries.filter((entry): entry is [string, Config] => isGroup(entry[1]));
  return (
    <Panel title="Configuration">
      <p className="mb-3 max-w-prose text-sm text-ink-muted">
        What was set for this run. Everything else has the learner&apos;s default, listed with reasons in{" "}
        <code>learner/config.py</code>.
      </p>
      <div className="grid gap-x-8 gap-y-4 sm:grid-cols-2 xl:grid-cols-4">
        <Group title="Run" values={[["seed", seed], ...plain]} />
        {groups.map(([name, values]) => (
          <Group key={name} title={GROUPS[name] ?? sentence(name)} values={flat(values)} />
        ))}
      </div>
      <p className="mt-4 text-sm text-ink-muted">
        Every report in full is in TensorBoard files on the learner&apos;s machine:{" "}
        <code className="text-ink select-all">{boardCommand(name)}</code> (<code>var</code> is SOP_DATA_DIR).
      </p>
    </Panel>
  );
}

/** As learner/tasks.py names the folder: percent-encoded, dots too, spaces kept. */
export function boardCommand(run: string): string {
  const encoded = encodeURIComponent(run).replace(/[.!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  return `tensorboard --logdir "var/tensorboard/${encoded.replaceAll("%20", " ")}"`;
}

const GROUPS: Readonly<Record<string, string>> = {
  optim: "Optimiser",
  algorithm_config: "Algorithm",
  round: "Rounds and versions",
  data: "Data",
};

function Group({ title, values }: { readonly title: string; readonly values: readonly (readonly [string, unknown])[] }) {
  return (
    <section>
      <h3 className="mb-1 text-sm font-medium">{title}</h3>
      <dl className="text-sm">
        {values.map(([key, value]) => (
          <div key={key} className="flex justify-between gap-4 border-b border-line py-1">
            <dt title={key} className="min-w-0 truncate text-ink-muted">
              {label(key)}
            </dt>
            <dd className="numeric min-w-0 text-right break-words">{shown(key, value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const isGroup = (value: unknown): value is Config => typeof value === "object" && value !== null && !Array.isArray(value);

/** Groups within groups as "value / width". */
function flat(values: Config, prefix = ""): readonly (readonly [string, unknown])[] {
  return Object.entries(values).flatMap(([key, value]) =>
    isGroup(value) ? flat(value, `${prefix}${key} / `) : [[`${prefix}${key}`, value] as const],
  );
}

const unitOf = (key: string): string | undefined => UNITS[key.slice(key.lastIndexOf("_") + 1)];

function label(key: string): string {
  const name = unitOf(key) === undefined || !key.includes("_") ? key : key.slice(0, key.lastIndexOf("_"));
  return words(name);
}

function shown(key: string, value: unknown): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(String).join(", ");
  const text = typeof value === "string" || typeof value === "number" ? `${value}` : JSON.stringify(value);
  const unit = key.includes("_") ? unitOf(key) : undefined;
  return typeof value === "number" && unit !== undefined ? `${text}\u00a0${unit}` : text;
}
