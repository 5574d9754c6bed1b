/** A new token: name, scopes, life; then its secret, once. */

import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { SecretShown } from "@/components/ui/secret-shown";
import { type Scope, useCreateToken } from "@/features/tokens/api/tokens";
import { lives } from "@/features/tokens/token-words";

interface CreateDialogProps {
  readonly scopes: readonly Scope[];
  readonly maxValidS: number;
  readonly onClose: () => void;
}

export function CreateDialog({ scopes, maxValidS, onClose }: CreateDialogProps) {
  const create = useCreateToken();
  if (create.data !== undefined) {
    return (
      <Dialog title="The token is made" onClose={onClose}>
        <SecretShown label="Token" secret={create.data.secret} onClose={onClose}>
          This is the token <span className="font-medium">{create.data.name}</span>. Copy it now: the server keeps only a hash, so it cannot be
          shown again.
        </SecretShown>
      </Dialog>
    );
  }
  return (
    <Dialog title="New token" onClose={onClose}>
      <CreateForm scopes={scopes} maxValidS={maxValidS} create={create} />
    </Dialog>
  );
}

interface CreateFormProps extends Omit<CreateDialogProps, "onClose"> {
  readonly create: ReturnType<typeof useCreateToken>;
}

function CreateForm({ scopes, maxValidS, create }: CreateFormProps) {
  const options = lives(maxValidS);
  const [name, setName] = useState("");
  const [life, setLife] = useState(options[Math.min(1, options.length - 1)]?.value ?? "");
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const toggle = (scope: string) =>
    setChosen(chosen.includes(scope) ? chosen.filter((each) => each !== scope) : [...chosen, scope]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    create.mutate({ name: name.trim(), scopes: chosen, valid_s: Number(life) });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <div className="grid gap-3 sm:grid-cols-[minmax(0,1fr)_10rem]">
        <TextField
          label="Name"
          data-autofocus
          required
          maxLength={100}
          placeholder="What will use it"
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <SelectField label="Ends after" options={options} value={life} onValue={setLife} />
      </div>
      <fieldset>
        <legend className="mb-1 text-sm font-medium">Scopes</legend>
        <p className="mb-1.5 text-xs text-ink-muted">At least one. Writing includes reading of the same. None gives you rights that you have not.</p>
        <div className="grid gap-x-4 sm:grid-cols-2">
          {scopes.map((scope) => (
            <label key={scope.name} className="flex min-h-9 items-start gap-2 py-1 text-sm">
              <input
                type="checkbox"
                className="mt-0.5 size-4 shrink-0 accent-action"
                checked={chosen.includes(scope.name)}
                onChange={() => toggle(scope.name)}
              />
              <span>
                <span className="font-mono text-xs">{scope.name}</span>
                <span className="block text-xs text-ink-muted">{scope.about}</span>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      <div className="flex items-center justify-end gap-3">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {create.error === null ? null : `No token was made. ${create.error.message}`}
        </p>
        <Button type="submit" variant="primary" disabled={name.trim() === "" || chosen.length === 0 || create.isPending}>
          Make the token
        </Button>
      </div>
    </form>
  );
}
