/** An alert rule: what it watches, who is told, when it is silent; and whether it would fire now, before it is saved. */

import { useState } from "react";

import { Button } from "@/components/ui/button";
import { DurationField } from "@/components/ui/duration-field";
import { SelectField, TextField } from "@/components/ui/field";
import { MultiSelect } from "@/components/ui/multi-select";
import { NamedDialog } from "@/components/ui/named-dialog";
import { defaultParams, fieldsFor, kinds, type ParamField, scopes, severities } from "@/features/alerts/alert-words";
import type { Severity } from "@/features/alerts/api/alerts";
import {
  type Kind,
  type Params,
  type Reading,
  type Rule,
  type RuleWish,
  useChangeRule,
  useCreateRule,
  usePreview,
  useRobotOptions,
  useTaskOptions,
} from "@/features/alerts/api/rules";
import { SilenceFields } from "@/features/alerts/components/silence-fields";
import { browserZone } from "@/lib/time-zone";

interface RuleDialogProps {
  readonly rule: Rule | null;
  readonly isMailSetUp: boolean;
  readonly onClose: () => void;
}

const blank = (): RuleWish => ({
  name: "",
  kind: "rate",
  params: defaultParams.rate,
  tasks: [],
  robots: [],
  severity: "warning",
  is_enabled: true,
  clear_after_s: 60,
  silences: [],
  time_zone: browserZone(),
  channels: [],
  mail_to: [],
});

/** What a person sets of a rule. */
const wishOf = (rule: Rule): RuleWish => ({
  name: rule.name,
  kind: rule.kind,
  params: rule.params,
  tasks: rule.tasks,
  robots: rule.robots,
  severity: rule.severity,
  is_enabled: rule.is_enabled,
  clear_after_s: rule.clear_after_s,
  silences: rule.silences,
  time_zone: rule.time_zone,
  channels: rule.channels,
  mail_to: rule.mail_to,
});
const addresses = (text: string): readonly string[] => text.split(/[\s,;]+/).filter(Boolean);

export function RuleDialog({ rule, isMailSetUp, onClose }: RuleDialogProps) {
  const [wish, setWish] = useState<RuleWish>(() => (rule === null ? blank() : wishOf(rule)));
  const [mailText, setMailText] = useState(wish.mail_to.join(", "));
  const create = useCreateRule();
  const change = useChangeRule();
  const put = (part: Partial<RuleWish>) => setWish((before) => ({ ...before, ...part }));
  const save = () => {
    const { kind, ...values } = { ...wish, mail_to: addresses(mailText) };
    if (rule === null) create.mutate({ kind, ...values }, { onSuccess: onClose });
    else change.mutate({ rule, change: values }, { onSuccess: onClose });
  };
  return (
    <NamedDialog
      title={rule === null ? "New alert rule" : `Change ${rule.name}`}
      name={wish.name}
      onName={(name) => put({ name })}
      label={rule === null ? "Make the rule" : "Save"}
      isPending={create.isPending || change.isPending}
      problem={(create.error ?? change.error)?.message}
      onSave={save}
      onClose={onClose}
    >
      <WhatFields wish={wish} isNew={rule === null} onWish={put} />
      <PreviewPart wish={wish} />
      <div className="grid gap-3 sm:grid-cols-2">
        <SelectField
          label="Severity"
          value={wish.severity}
          onValue={(value) => put({ severity: value as Severity })}
          options={Object.entries(severities).map(([value, { label }]) => ({ value, label }))}
        />
        <DurationField
          label="Resolves once it is over for"
          min={0}
          max={86_400}
          value={wish.clear_after_s}
          onValue={(value) => put({ clear_after_s: value })}
        />
      </div>
      <ToldFields wish={wish} mailText={mailText} isMailSetUp={isMailSetUp} onWish={put} onMailText={setMailText} />
      <SilenceFields
        silences={wish.silences}
        zone={wish.time_zone}
        onSilences={(silences) => put({ silences })}
        onZone={(zone) => put({ time_zone: zone })}
      />
    </NamedDialog>
  );
}

interface PartProps {
  readonly wish: RuleWish;
  readonly onWish: (part: Partial<RuleWish>) => void;
}

function WhatFields({ wish, isNew, onWish }: PartProps & { readonly isNew: boolean }) {
  const tasks = useTaskOptions().data ?? [];
  const robots = useRobotOptions().data ?? [];
  const scope = scopes[wish.kind];
  const choose = (kind: Kind) => onWish({ kind, params: defaultParams[kind], tasks: [], robots: [] });
  return (
    <>
      <SelectField label="It fires when" value={wish.kind} disabled={!isNew} onValue={(value) => choose(value as Kind)} options={kinds} />
      <div className="grid items-end gap-3 sm:grid-cols-2">
        {fieldsFor(wish.kind, wish.params).map((field) => (
          <ParamInput key={`${wish.kind}/${field.name}`} field={field} params={wish.params} onParams={(params) => onWish({ params })} />
        ))}
        {scope.tasks ? (
          <MultiSelect label="Tasks" all="All tasks" values={wish.tasks} options={tasks} onValues={(values) => onWish({ tasks: values })} />
        ) : null}
        {scope.robots ? (
          <MultiSelect label="Robots" all="All robots" values={wish.robots} options={robots} onValues={(values) => onWish({ robots: values })} />
        ) : null}
      </div>
    </>
  );
}

interface ParamInputProps {
  readonly field: ParamField;
  readonly params: Params;
  readonly onParams: (params: Params) => void;
}

function ParamInput({ field, params, onParams }: ParamInputProps) {
  const value = params[field.name];
  const amount = typeof value === "number" ? value : NaN;
  const put = (typed: number) => onParams({ ...params, [field.name]: typed });
  if (field.options !== undefined)
    return (
      <SelectField
        label={field.label}
        value={String(value)}
        onValue={(chosen) => onParams({ ...params, [field.name]: chosen })}
        options={field.options}
      />
    );
  if (field.unit === "seconds")
    return <DurationField label={field.label} min={field.min ?? 0} max={field.max} value={amount} onValue={put} />;
  const scale = field.unit === "share" ? 100 : 1;
  return (
    <TextField
      label={field.label}
      type="number"
      step="any"
      required
      min={field.min === undefined ? undefined : field.min * scale}
      max={field.max === undefined ? undefined : field.max * scale}
      // Shares have no exact percents in floating point: 0.07 is 7, not 7.000000000000001.
      value={Number.isNaN(amount) ? "" : Number((amount * scale).toPrecision(12))}
      onChange={(event) => put(event.target.valueAsNumber / scale)}
    />
  );
}

function PreviewPart({ wish }: { readonly wish: RuleWish }) {
  const preview = usePreview();
  const asked = { kind: wish.kind, params: wish.params, tasks: wish.tasks, robots: wish.robots };
  const isFresh = preview.data !== undefined && JSON.stringify(preview.variables) === JSON.stringify(asked);
  return (
    <div>
      <Button disabled={preview.isPending} onClick={() => preview.mutate(asked)}>
        Would it fire now?
      </Button>
      {isFresh ? <Found readings={preview.data.results} /> : null}
      {preview.error === null ? null : (
        <p role="alert" className="mt-2 text-sm text-fault">
          {preview.error.message}
        </p>
      )}
    </div>
  );
}

const words: Readonly<Record<string, string>> = { firing: "Yes", between: "Not yet", clear: "No" };

function Found({ readings }: { readonly readings: readonly Reading[] }) {
  return (
    <section aria-label="Preview" className="mt-2 rounded-md border border-line bg-inset p-3 text-sm">
      {readings.length === 0 ? <p>Nothing can be measured now: no alert.</p> : null}
      <ul className="flex max-h-48 flex-col gap-1 overflow-auto">
        {readings.map((reading) => (
          <li key={reading.subject_name}>
            <span className="font-medium">{words[reading.finding] ?? reading.finding}:</span> {reading.text}
          </li>
        ))}
      </ul>
    </section>
  );
}

interface ToldFieldsProps extends PartProps {
  readonly mailText: string;
  readonly isMailSetUp: boolean;
  readonly onMailText: (text: string) => void;
}

const channels = [
  { value: "webhook", label: "Webhooks that hear of alerts" },
  { value: "mail", label: "Mail" },
] as const;

function ToldFields({ wish, mailText, isMailSetUp, onWish, onMailText }: ToldFieldsProps) {
  const toggle = (value: string) =>
    onWish({ channels: wish.channels.includes(value) ? wish.channels.filter((each) => each !== value) : [...wish.channels, value] });
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">Who is told, besides the console</legend>
      {channels.map((channel) => (
        <label key={channel.value} className="flex min-h-8 items-center gap-2 text-sm">
          <input
            type="checkbox"
            className="size-4 accent-action"
            checked={wish.channels.includes(channel.value)}
            onChange={() => toggle(channel.value)}
          />
          {channel.label}
        </label>
      ))}
      {wish.channels.includes("mail") ? (
        <>
          <TextField
            label="Mail addresses, by commas"
            required
            maxLength={2000}
            placeholder="ann@lab.example"
            value={mailText}
            onChange={(event) => onMailText(event.target.value)}
          />
          {isMailSetUp ? null : <p className="mt-1 text-sm text-caution">This server sends no mail: SOP_SMTP_URL is not set.</p>}
        </>
      ) : null}
    </fieldset>
  );
}
