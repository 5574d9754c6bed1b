/** `/training/:run`: one training run, live. */

import { useParams } from "react-router";

import { useMay } from "@/hooks/use-session";
import { RunPage } from "@/features/training/components/run-page";

export function TrainingRunRoute() {
  const { run = "" } = useParams();
  const mayRun = useMay("run_training");
  return <RunPage key={run} runId={run} mayRun={mayRun} />;
}
