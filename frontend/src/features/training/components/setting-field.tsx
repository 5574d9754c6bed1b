/** One setting: an input of its kind with unit, range, help, and what is wrong with what was given. */

import { useId } from "react";

import { problemOf, rangeText, type Setting, textOf } from "@/features/training/settings";
import { cn } from "@/lib/class-names";

interface SettingFieldProps {
  readonly setting: Setting;
  readonly text: string;
  /** What the server said of it; cleared once it is changed. */
  readonly refusal: string;
  readonly onText: (text: string) => void;
}

const control =
  "h-8 w-full rounded-md border border-line-strong bg-surface px-2.5 text-sm text-ink hover:border-ink-muted aria-invalid:border-fault";

export function SettingField({ setting, text, refusal, onText }: SettingFieldProps) {
  const id = useId();
  const problem = problemOf(setting, text) || refusal;
  const isChanged = text !== textOf(setting.default);
  const shared = { id, value: text, "aria-invalid": problem !== "", "aria-describedby": `${id}-help`, className: control };
  const choices = setting.kind === "boolean" ? ["false", "true"] : setting.choices;
  return (
    <div>
      <label htmlFor={id} className="mb-1 flex items-baseline gap-1.5 text-sm font-medium">
        {setting.label}
        {setting.unit === "" ? null : <span className="font-normal text-ink-muted">{setting.unit === "s" ? "seconds" : setting.unit}</span>}
        {isChanged ? <span className="ml-auto text-xs font-normal text-ink-muted">changed</span> : null}
      </label>
      {choices === null ? (
        <input {...shared} inputMode={setting.kind === "text" ? "text" : "decimal"} onChange={(event) => onText(event.target.value)} />
      ) : (
        <select {...shared} onChange={(event) => onText(event.target.value)}>
          {choices.map((choice) => (
            <option key={choice} value={choice}>
              {setting.kind === "boolean" ? (choice === "true" ? "yes" : "no") : choice.replaceAll("_", " ")}
            </option>
          ))}
        </select>
      )}
      <p id={`${id}-help`} className={cn("mt-1 text-xs", problem === "" ? "text-ink-muted" : "text-fault")}>
        {problem === "" ? describe(setting) : problem}
      </p>
    </div>
  );
}

function describe(setting: Setting): string {
  const usual = setting.default === null ? "none" : setting.kind === "boolean" ? (setting.default === true ? "yes" : "no") : textOf(setting.default).replaceAll("_", " ");
  const range = setting.kind === "integer" || setting.kind === "number" ? ` ${capitalised(rangeText(setting))}.` : "";
  return `${setting.help}${range} Default: ${usual}.`;
}

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
