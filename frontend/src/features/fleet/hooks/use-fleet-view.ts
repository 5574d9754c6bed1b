/** The view of the fleet page as the URL holds it: ?q=&status=&sort=&layout= */

import { type FleetView, type Layout, type Sort, SORTS, STATUS_FILTERS, type StatusFilter } from "@/features/fleet/fleet-view";
import { useUrlChoice, useUrlText } from "@/hooks/use-url-choice";

const filters = STATUS_FILTERS.map((filter) => filter.value);
const sorts = SORTS.map((sort) => sort.value);
const layouts: readonly Layout[] = ["cards", "table"];

export interface FleetViewControls {
  readonly view: FleetView;
  readonly setSearch: (value: string) => void;
  readonly setStatus: (value: StatusFilter) => void;
  readonly setSort: (value: Sort) => void;
  readonly setLayout: (value: Layout) => void;
}

export function useFleetView(): FleetViewControls {
  const [search, setSearch] = useUrlText("q", "");
  const [status, setStatus] = useUrlChoice("status", filters, "all");
  const [sort, setSort] = useUrlChoice("sort", sorts, "name");
  const [layout, setLayout] = useUrlChoice("layout", layouts, "cards");
  return { view: { search, status, sort, layout }, setSearch, setStatus, setSort, setLayout };
}
