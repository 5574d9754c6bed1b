/** `/training/:run`: one training run, live. */

import { useParams } from "react-router";

import { RunPage } from "@/features/training/components/run-page";

export function TrainingRunRoute() {
  const { run = "" } = useParams();
  return <RunPage key={run} runId={run} />;
}
