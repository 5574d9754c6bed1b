/**
 * Labelled inputs. The label is always visible or, where space is short, always there for screen readers.
 * `needs`: the right that a choice takes; who lacks it sees the field disabled, with the reason as its description.
 */

import { type ComponentProps, type ReactNode, useId } from "react";

import { useRefusal } from "@/hooks/use-session";
import { cn } from "@/lib/class-names";
import type { Permission } from "@/lib/permissions";

const box =
  "w-full rounded-md border border-line-strong bg-surface px-2.5 text-sm text-ink hover:border-ink-muted " +
  "disabled:opacity-60 aria-invalid:border-fault";
const control = `h-8 ${box}`;

interface LabelProps {
  readonly label: string;
  readonly isLabelHidden?: boolean;
}

interface TextFieldProps extends ComponentProps<"input">, LabelProps {
  readonly icon?: ReactNode;
}

export function TextField({ label, isLabelHidden = false, icon, className, ...rest }: TextFieldProps) {
  const id = useId();
  return (
    <div className={className}>
      <FieldLabel id={id} label={label} isLabelHidden={isLabelHidden} />
      <div className="relative">
        {icon ? (
          <span className="pointer-events-none absolute inset-y-0 left-2.5 flex items-center text-ink-muted">{icon}</span>
        ) : null}
        <input id={id} className={cn(control, icon !== undefined && "pl-8")} {...rest} />
      </div>
    </div>
  );
}

interface TextAreaFieldProps extends ComponentProps<"textarea">, LabelProps {}

export function TextAreaField({ label, isLabelHidden = false, className, ...rest }: TextAreaFieldProps) {
  const id = useId();
  return (
    <div className={className}>
      <FieldLabel id={id} label={label} isLabelHidden={isLabelHidden} />
      <textarea id={id} className={cn(box, "py-1.5")} {...rest} />
    </div>
  );
}

interface SelectFieldProps extends Omit<ComponentProps<"select">, "onChange">, LabelProps {
  readonly options: readonly { readonly value: string; readonly label: string }[];
  readonly onValue: (value: string) => void;
  readonly needs?: Permission;
}

export function SelectField({ needs, ...rest }: SelectFieldProps) {
  return needs === undefined ? <PlainSelectField {...rest} /> : <GuardedSelectField needs={needs} {...rest} />;
}

function GuardedSelectField({ needs, ...rest }: SelectFieldProps & { readonly needs: Permission }) {
  const refusal = useRefusal(needs);
  return refusal === null ? <PlainSelectField {...rest} /> : <PlainSelectField {...rest} disabled title={refusal} />;
}

function PlainSelectField({ label, isLabelHidden = false, options, onValue, className, ...rest }: Omit<SelectFieldProps, "needs">) {
  const id = useId();
  return (
    <div className={className}>
      <FieldLabel id={id} label={label} isLabelHidden={isLabelHidden} />
      <select id={id} className={cn(control, "pr-1")} onChange={(event) => onValue(event.target.value)} {...rest}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </div>
  );
}

function FieldLabel({ id, label, isLabelHidden }: { id: string; label: string; isLabelHidden: boolean }) {
  return (
    <label htmlFor={id} className={isLabelHidden ? "sr-only" : "mb-1 block text-sm font-medium"}>
      {label}
    </label>
  );
}
