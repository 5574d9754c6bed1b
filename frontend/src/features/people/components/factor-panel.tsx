/** The second factor: set up with an authenticator app, recovery codes, removed. */

import { ShieldCheck } from "lucide-react";
import { type SubmitEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { Panel } from "@/components/ui/card";
import { Chip } from "@/components/ui/chip";
import { CopiedText } from "@/components/ui/copied-text";
import { Dialog } from "@/components/ui/dialog";
import { TextField } from "@/components/ui/field";
import { notify } from "@/components/ui/toast";
import { type Profile, useBeginFactor, useConfirmFactor, useDropFactor, useRenewCodes } from "@/features/people/api/profile";
import { formatNoun } from "@/lib/units/format";

type Step = "begin" | "renew" | "drop";

export function FactorPanel({ profile }: { readonly profile: Profile }) {
  const [step, setStep] = useState<Step | null>(null);
  const close = () => setStep(null);
  return (
    <Panel title="Second factor">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        {profile.has_totp ? (
          <>
            <Chip icon={ShieldCheck} tone="neutral">
              set up
            </Chip>
            <p className="min-w-0 grow text-sm text-ink-muted">{formatNoun(profile.recovery_codes_left, "recovery code")} left.</p>
            <Button onClick={() => setStep("renew")}>New recovery codes</Button>
            <Button
              disabled={profile.totp_needed}
              title={profile.totp_needed ? "Your role requires a second factor" : undefined}
              onClick={() => setStep("drop")}
            >
              Remove
            </Button>
          </>
        ) : (
          <>
            <p className="min-w-0 grow text-sm text-ink-muted">
              Signing in then takes a code from an authenticator app as well, so that a stolen password alone lets nobody in.
            </p>
            <Button variant="primary" onClick={() => setStep("begin")}>
              Set it up
            </Button>
          </>
        )}
      </div>
      {step === "begin" ? <BeginDialog onClose={close} /> : null}
      {step === "renew" ? <RenewDialog onClose={close} /> : null}
      {step === "drop" ? <DropDialog onClose={close} /> : null}
    </Panel>
  );
}

function BeginDialog({ onClose }: { readonly onClose: () => void }) {
  const begin = useBeginFactor();
  const confirm = useConfirmFactor();
  if (confirm.data !== undefined) {
    return (
      <Dialog title="The second factor is set up" onClose={onClose}>
        <Codes codes={confirm.data.recovery_codes} onClose={onClose} />
      </Dialog>
    );
  }
  if (begin.data === undefined) {
    return (
      <Dialog title="Set up a second factor" onClose={onClose}>
        <OneField
          key="password"
          label="Your password"
          type="password"
          action="Go on"
          error={begin.error}
          isPending={begin.isPending}
          onValue={begin.mutate}
        />
      </Dialog>
    );
  }
  return (
    <Dialog title="Set up a second factor" onClose={onClose}>
      <div className="grid gap-4 sm:grid-cols-[12rem_minmax(0,1fr)]">
        <img
          alt="QR code with the secret for your authenticator app"
          className="w-48 rounded-md border border-line bg-[white]"
          src={`data:image/svg+xml;utf8,${encodeURIComponent(begin.data.qr_svg)}`}
        />
        <div className="flex flex-col gap-3">
          <p className="text-sm">Film this with your authenticator app, or type the secret in. Then enter the six digits that it shows.</p>
          <CopiedText label="Secret" value={begin.data.secret} />
          <OneField
            key="code"
            label="Code"
            action="Set it up"
            autoComplete="one-time-code"
            error={confirm.error}
            isPending={confirm.isPending}
            onValue={confirm.mutate}
          />
        </div>
      </div>
    </Dialog>
  );
}

function RenewDialog({ onClose }: { readonly onClose: () => void }) {
  const renew = useRenewCodes();
  return (
    <Dialog title="New recovery codes" onClose={onClose}>
      {renew.data === undefined ? (
        <OneField
          label="Code of your app"
          action="Make new codes"
          autoComplete="one-time-code"
          error={renew.error}
          isPending={renew.isPending}
          onValue={renew.mutate}
        />
      ) : (
        <Codes codes={renew.data.recovery_codes} onClose={onClose} />
      )}
    </Dialog>
  );
}

function DropDialog({ onClose }: { readonly onClose: () => void }) {
  const drop = useDropFactor();
  const remove = (password: string) =>
    drop.mutate(password, {
      onSuccess: () => {
        notify("done", "You sign in with your password alone now.");
        onClose();
      },
    });
  return (
    <Dialog title="Remove the second factor?" onClose={onClose}>
      <OneField label="Your password" type="password" action="Remove it" error={drop.error} isPending={drop.isPending} onValue={remove} />
    </Dialog>
  );
}

function Codes({ codes, onClose }: { readonly codes: readonly string[]; readonly onClose: () => void }) {
  return (
    <div className="flex flex-col gap-3">
      <p className="text-sm">
        Keep these recovery codes where you find them without your telephone. Each lets you in once. They are shown only now; earlier ones no
        longer work.
      </p>
      <CopiedText label="Recovery codes" value={codes.join("\n")} />
      <div className="flex justify-end">
        <Button variant="primary" onClick={onClose}>
          I have them
        </Button>
      </div>
    </div>
  );
}

interface OneFieldProps {
  readonly label: string;
  readonly action: string;
  readonly type?: string;
  readonly autoComplete?: string;
  readonly error: Error | null;
  readonly isPending: boolean;
  readonly onValue: (value: string) => void;
}

function OneField({ label, action, type = "text", autoComplete = "current-password", error, isPending, onValue }: OneFieldProps) {
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const value = new FormData(event.currentTarget).get("value");
    if (typeof value === "string") onValue(value);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <TextField label={label} name="value" type={type} autoComplete={autoComplete} maxLength={200} data-autofocus required />
      <div className="flex items-center justify-end gap-3">
        <p role="alert" className="min-w-0 grow text-sm text-fault">
          {error === null ? null : error.message}
        </p>
        <Button type="submit" variant="primary" disabled={isPending}>
          {action}
        </Button>
      </div>
    </form>
  );
}
