/** Says that the last verification of the store missed something of an episode; nothing where it did not. */

import { FileWarning } from "lucide-react";

import { Chip } from "@/components/ui/chip";

export function DamageChip({ damage }: { readonly damage: string }) {
  if (damage === "") return null;
  return (
    <span className="inline-flex">
      <Chip icon={FileWarning} tone="fault" title={damage}>
        Damaged
      </Chip>
      <span className="sr-only">: {damage}</span>
    </span>
  );
}
