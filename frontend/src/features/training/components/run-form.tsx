/** Start a run: from a version's weights, with every setting of the learner; alone, or as a copy that shows what differs. */

import { type SubmitEvent, useState } from "react";
import { Link, useNavigate } from "react-router";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { SelectField, TextField } from "@/components/ui/field";
import { MultiSelect } from "@/components/ui/multi-select";
import { ReadFailed } from "@/components/ui/read-failed";
import { Skeleton } from "@/components/ui/skeleton";
import { type Option, useBases, useFrozen, useStartRun, useTrainingSettings } from "@/features/training/api/run-admin";
import { type RunDetail, useRunDetail } from "@/features/training/api/runs";
import { useTasks } from "@/features/training/api/tasks";
import { Differences } from "@/features/training/components/run-differences";
import { SettingField } from "@/features/training/components/setting-field";
import { configOf, differences, flat, grouped, problemOf, type Setting, type Settings, textOf, type Texts, textsOf } from "@/features/training/settings";
import { ProblemError } from "@/lib/api/errors";

interface RunFormProps {
  /** Id of the run to copy; empty for none. */
  readonly copy: string;
  /** Id of the version to begin from; empty for the newest. */
  readonly from: string;
}

export function RunForm({ copy, from }: RunFormProps) {
  return copy === "" ? <Loaded original={null} from={from} /> : <OfCopy copy={copy} from={from} />;
}

function OfCopy({ copy, from }: RunFormProps) {
  const { data, error, refetch } = useRunDetail(copy);
  if (data !== undefined) return <Loaded original={data} from={from === "" ? (data.began_from?.id ?? "") : from} />;
  return error === null ? <Skeleton className="h-96" /> : <Unreadable error={error} onRetry={() => void refetch()} />;
}

function Loaded({ original, from }: { readonly original: RunDetail | null; readonly from: string }) {
  const settings = useTrainingSettings();
  const bases = useBases(from);
  const error = settings.error ?? bases.error;
  if (settings.data !== undefined && bases.data !== undefined) {
    return <Form key={original?.id} original={original} from={from} settings={settings.data} bases={bases.data} />;
  }
  if (error === null) return <Skeleton className="h-96" />;
  return <Unreadable error={error} onRetry={() => void Promise.all([settings.refetch(), bases.refetch()])} />;
}

function Unreadable({ error, onRetry }: { readonly error: Error; readonly onRetry: () => void }) {
  return (
    <Card>
      <ReadFailed title="The form could not be read" error={error} onRetry={onRetry} />
    </Card>
  );
}

interface FormProps {
  readonly original: RunDetail | null;
  readonly from: string;
  readonly settings: Settings;
  readonly bases: readonly Option[];
}

/** What stands in the form beside the settings. `dataset`: "<id>/<version>", or empty. */
interface Plain {
  readonly name: string;
  readonly base: string;
  readonly algorithm: string;
  readonly tasks: readonly string[];
  readonly dataset: string;
  readonly split: string;
  readonly takesOnline: boolean;
  readonly steps: string;
  readonly seed: string;
}

function plainOf(original: RunDetail | null, base: string, algorithm: string): Plain {
  const dataset = original?.dataset ?? null;
  return {
    name: original === null ? "" : `${original.name.slice(0, 90)} copy`,
    base,
    algorithm: original?.algorithm ?? algorithm,
    tasks: original?.tasks ?? [],
    dataset: dataset === null ? "" : `${dataset.id}/${dataset.version}`,
    split: dataset?.split ?? "",
    takesOnline: original?.takes_online ?? true,
    steps: textOf(original?.target_steps),
    seed: textOf(original?.seed ?? 0),
  };
}

function Form({ original, from, settings, bases }: FormProps) {
  const start = useStartRun();
  const navigate = useNavigate();
  const base = from === "" ? (bases[0]?.value ?? "") : from;
  const [plain, setPlain] = useState(() => plainOf(original, base, settings.algorithms[0]?.name ?? ""));
  const [texts, setTexts] = useState<Texts>(() => textsOf(original?.config ?? {}));
  const [refusals, setRefusals] = useState<Texts>({});
  const algorithm = settings.algorithms.find(({ name }) => name === plain.algorithm);
  const fields = [...(algorithm?.fields ?? []), ...settings.fields];
  const unknown = Object.keys(flat(original?.config ?? {})).filter((path) => !fields.some((field) => field.path === path));
  const textAt = (setting: Setting) => texts[setting.path] ?? textOf(setting.default);
  const wrong = fields.filter((setting) => problemOf(setting, textAt(setting)) !== "");
  const set = (change: Partial<Plain>) => setPlain({ ...plain, ...change });
  const whole = (text: string, least: number) => /^\d{1,15}$/.test(text) && Number(text) >= least;
  const needsSteps = !plain.takesOnline;
  const isReady =
    plain.name.trim() !== "" && plain.base !== "" && wrong.length === 0 && whole(plain.seed, 0) && (plain.steps === "" ? !needsSteps : whole(plain.steps, 1));
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const [id = "", version = ""] = plain.dataset.split("/");
    const wish = {
      name: plain.name.trim(),
      base: plain.base,
      algorithm: plain.algorithm,
      config: configOf(fields, texts),
      seed: Number(plain.seed),
      tasks: plain.tasks,
      dataset: plain.dataset === "" ? null : { id, version: Number(version), split: plain.split },
      takes_online: plain.takesOnline,
      target_steps: plain.steps === "" ? null : Number(plain.steps),
      copied_from: original?.id ?? null,
    };
    start.mutate(wish, {
      onSuccess: (made) => void navigate(`/training/${made.id}`),
      onError: (error) => setRefusals(error instanceof ProblemError ? Object.fromEntries(error.problem.problems.map(({ field, detail }) => [field, detail])) : {}),
    });
  };
  return (
    <form onSubmit={submit} noValidate className="grid gap-4">
      <PlainPanel plain={plain} set={set} settings={settings} bases={bases} needsSteps={needsSteps} />
      {original === null ? null : <Differences name={original.name} rows={differences(fields, original.config, texts)} algorithm={original.algorithm === plain.algorithm ? null : [original.algorithm, plain.algorithm]} dropped={unknown} />}
      {grouped(fields).map(([group, members]) => (
        <Panel key={group} title={group === "Algorithm" && algorithm !== undefined ? algorithm.title : group}>
          {group === "Algorithm" && algorithm !== undefined ? <p className="mb-3 max-w-prose text-sm text-ink-muted">{algorithm.help}</p> : null}
          <div className="grid gap-x-6 gap-y-4 sm:grid-cols-2 xl:grid-cols-3">
            {members.map((setting) => (
              <SettingField
                key={setting.path}
                setting={setting}
                text={textAt(setting)}
                refusal={refusals[setting.path] ?? ""}
                onText={(text) => {
                  setTexts({ ...texts, [setting.path]: text });
                  setRefusals({ ...refusals, [setting.path]: "" });
                }}
              />
            ))}
          </div>
        </Panel>
      ))}
      <div className="sticky bottom-0 flex flex-wrap items-center justify-end gap-3 border-t border-line bg-canvas py-3">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {start.error === null ? (wrong.length === 0 ? "" : `To be corrected: ${wrong.map(({ label }) => label).join(", ")}.`) : `No run was started. ${start.error.message}`}
        </p>
        <Link to={original === null ? "/training" : `/training/${original.id}`} className="text-sm text-link underline underline-offset-2">
          Cancel
        </Link>
        <Button type="submit" variant="primary" disabled={!isReady || start.isPending}>
          Start training
        </Button>
      </div>
    </form>
  );
}

interface PlainPanelProps {
  readonly plain: Plain;
  readonly set: (change: Partial<Plain>) => void;
  readonly settings: Settings;
  readonly bases: readonly Option[];
  readonly needsSteps: boolean;
}

function PlainPanel({ plain, set, settings, bases, needsSteps }: PlainPanelProps) {
  const frozen = useFrozen();
  const tasks = useTasks();
  const kept = plain.dataset === "" || frozen.data?.some(({ value }) => value === plain.dataset) === true ? [] : [{ value: plain.dataset, label: `Version ${plain.dataset.split("/")[1] ?? ""} of the copied run's dataset` }];
  const sources = [{ value: "", label: "All demonstrations" }, ...kept, ...(frozen.data ?? [])];
  return (
    <Panel title="Run">
      <div className="grid gap-x-6 gap-y-4 sm:grid-cols-2 xl:grid-cols-3">
        <TextField label="Name" data-autofocus required maxLength={100} value={plain.name} onChange={(event) => set({ name: event.target.value })} />
        <SelectField
          label="Begin from the weights of"
          options={bases.length > 0 ? bases : [{ value: "", label: "No policy version yet" }]}
          value={plain.base}
          onValue={(base) => set({ base })}
        />
        <SelectField
          label="Algorithm"
          options={settings.algorithms.map(({ name, title }) => ({ value: name, label: title }))}
          value={plain.algorithm}
          onValue={(algorithm) => set({ algorithm })}
        />
        <div>
          <p className="mb-1 text-sm font-medium">Tasks</p>
          <MultiSelect
            label="Tasks"
            all="All tasks"
            values={plain.tasks}
            options={(tasks.data ?? []).map(({ slug }) => ({ value: slug, label: slug }))}
            onValues={(values) => set({ tasks: values })}
          />
        </div>
        <SelectField
          label="Offline data"
          options={sources}
          value={plain.dataset}
          onValue={(dataset) => set({ dataset, split: "", ...(dataset === "" ? { takesOnline: true } : {}) })}
        />
        <SelectField
          label="New episodes of robots"
          disabled={plain.dataset === ""}
          options={[
            { value: "yes", label: "Learn from them" },
            { value: "no", label: "The dataset alone" },
          ]}
          value={plain.takesOnline ? "yes" : "no"}
          onValue={(value) => set({ takesOnline: value === "yes" })}
        />
        {plain.dataset === "" ? null : (
          <TextField label="Split of the dataset, empty for all" maxLength={32} value={plain.split} onChange={(event) => set({ split: event.target.value })} />
        )}
        <TextField
          label={needsSteps ? "Gradient steps" : "Gradient steps, empty for no end"}
          inputMode="numeric"
          required={needsSteps}
          value={plain.steps}
          onChange={(event) => set({ steps: event.target.value })}
        />
        <TextField label="Seed" inputMode="numeric" value={plain.seed} onChange={(event) => set({ seed: event.target.value })} />
      </div>
      <p className="mt-3 max-w-prose text-sm text-ink-muted">
        {plain.takesOnline
          ? "Robots get the versions of this run while it is the newest that runs."
          : "The run ends after its steps, and robots keep their version."}
      </p>
    </Panel>
  );
}
