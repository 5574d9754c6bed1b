/** Asks once before robots change what they drive with: what will happen, why, and for a canary its limits. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type Action, useAct } from "@/features/versions/api/versions";

export interface Limit {
  readonly name: string;
  readonly label: string;
  /** A text's fallback is a text; a number's is a number. */
  readonly fallback: number | string;
  /** Asked for in percent, kept as a share of 1. */
  readonly isShare?: boolean;
}

export type Limits = Readonly<Record<string, number | string>>;

const CANARY_LIMITS: readonly Limit[] = [
  { name: "share", label: "Share of the robots (%)", fallback: 0.25, isShare: true },
  { name: "tag", label: "Or the robots with this tag (empty: the share, by lot)", fallback: "" },
  { name: "min_episodes", label: "Fewest episodes before it is promoted", fallback: 20 },
  { name: "max_episodes", label: "Most episodes before a person decides", fallback: 400 },
  { name: "margin", label: "Worse by this much counts as worse (percentage points)", fallback: 0.1, isShare: true },
];

/** The limits as the run has them now, so that confirming changes only what a person changed. */
export const canaryLimits = (known: Readonly<Record<string, unknown>> = {}): readonly Limit[] =>
  CANARY_LIMITS.map((limit) => {
    const value = known[limit.name];
    return { ...limit, fallback: typeof value === typeof limit.fallback ? (value as number | string) : limit.fallback };
  });

/** An act that waits for a word of confirmation. `make`: the request, with the reason and the limits as given. */
export interface Plan {
  readonly title: string;
  readonly text: string;
  readonly button: string;
  readonly done: string;
  readonly isReasonNeeded?: boolean;
  readonly limits?: readonly Limit[];
  readonly make: (reason: string, limits: Limits) => Action;
}

/** What stands in the field at first. Shares have no exact percents in floating point: 0.07 is 7. */
const textOf = ({ fallback, isShare }: Limit): string =>
  isShare === true ? String(Number((Number(fallback) * 100).toPrecision(12))) : String(fallback);

function valueOf(limit: Limit, text = textOf(limit)): number | string {
  if (typeof limit.fallback === "string") return text.trim();
  return limit.isShare === true ? Number(text) / 100 : Number(text);
}

export function ActDialog({ plan, onClose }: { readonly plan: Plan; readonly onClose: () => void }) {
  const act = useAct();
  const [reason, setReason] = useState("");
  const [limits, setLimits] = useState<Readonly<Record<string, string>>>({});
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const given = Object.fromEntries((plan.limits ?? []).map((limit) => [limit.name, valueOf(limit, limits[limit.name])]));
    act.mutate(plan.make(reason, given), {
      onSuccess: () => {
        notify("done", plan.done);
        onClose();
      },
    });
  };
  return (
    <Dialog title={plan.title} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-3">
        <p className="text-sm">{plan.text}</p>
        {(plan.limits ?? []).map((limit) => (
          <TextField
            key={limit.name}
            label={limit.label}
            inputMode={typeof limit.fallback === "number" ? "decimal" : "text"}
            value={limits[limit.name] ?? textOf(limit)}
            onChange={(event) => setLimits({ ...limits, [limit.name]: event.target.value })}
          />
        ))}
        <TextField
          label={plan.isReasonNeeded === true ? "Reason" : "Reason (may be left out)"}
          value={reason}
          required={plan.isReasonNeeded === true}
          maxLength={2000}
          data-autofocus
          onChange={(event) => setReason(event.target.value)}
        />
        {act.error === null ? null : (
          <p role="alert" className="text-sm text-fault">
            {act.error.message}
          </p>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" variant="primary" disabled={act.isPending}>
            {plan.button}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
