/** `/training/compare?run=<id>&run=<id>`: two to four training runs side by side. */

import { useSearchParams } from "react-router";

import { MOST, RunCompare } from "@/features/training/components/run-compare";
import { usePageTitle } from "@/hooks/use-page-title";

export function TrainingCompareRoute() {
  usePageTitle("Compare training runs");
  const [query, setQuery] = useSearchParams();
  const ids = [...new Set(query.getAll("run"))].slice(0, MOST);
  const choose = (chosen: readonly string[]) => {
    const next = new URLSearchParams(query);
    next.delete("run");
    for (const id of chosen) next.append("run", id);
    setQuery(next, { replace: true });
  };
  return (
    <>
      <h1 className="mb-3 min-h-8 text-xl font-semibold">Compare training runs</h1>
      <RunCompare ids={ids} onIds={choose} />
    </>
  );
}
