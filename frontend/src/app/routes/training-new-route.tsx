/** `/training/new?copy=<run>&from=<version>`: start a training run, alone, as a copy, or from a version. */

import { ShieldAlert } from "lucide-react";
import { useSearchParams } from "react-router";

import { Card } from "@/components/ui/card";
import { Notice } from "@/components/ui/notice";
import { useMay } from "@/hooks/use-session";
import { RunForm } from "@/features/training/components/run-form";
import { usePageTitle } from "@/hooks/use-page-title";

export function TrainingNewRoute() {
  usePageTitle("New training run");
  const mayRun = useMay("run_training");
  const [query] = useSearchParams();
  const [copy, from] = [query.get("copy") ?? "", query.get("from") ?? ""];
  return (
    <>
      <h1 className="mb-3 min-h-8 text-xl font-semibold">{copy === "" ? "New training run" : "Copy a training run"}</h1>
      {mayRun ? (
        <RunForm key={`${copy} ${from}`} copy={copy} from={from} />
      ) : (
        <Card>
          <Notice icon={ShieldAlert} title="Managers and admins start runs">
            Ask one of them, or for the role.
          </Notice>
        </Card>
      )}
    </>
  );
}
