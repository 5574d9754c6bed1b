/** Search, filter, order and layout of the robots. All of it lives in the URL. */

import { LayoutGrid, Rows3, Search } from "lucide-react";

import { SelectField, TextField } from "@/components/ui/field";
import { Segmented } from "@/components/ui/segmented";
import { type Sort, SORTS, STATUS_FILTERS, type StatusFilter } from "@/features/fleet/fleet-view";
import type { FleetViewControls } from "@/features/fleet/hooks/use-fleet-view";

const layouts = [
  { value: "cards", label: "Cards", icon: LayoutGrid },
  { value: "table", label: "Table", icon: Rows3 },
] as const;

export function FleetToolbar({ view, setSearch, setStatus, setSort, setLayout }: FleetViewControls) {
  return (
    <div className="flex flex-wrap items-center gap-2">
      <TextField
        label="Search robots"
        isLabelHidden
        type="search"
        placeholder="Search name, task, status"
        icon={<Search aria-hidden className="size-4" />}
        className="w-full sm:w-auto sm:max-w-72 sm:min-w-44 sm:grow"
        value={view.search}
        onChange={(event) => setSearch(event.target.value)}
      />
      <SelectField
        label="Status"
        isLabelHidden
        className="min-w-32 grow sm:w-40 sm:grow-0"
        options={STATUS_FILTERS}
        value={view.status}
        onValue={(value) => setStatus(value as StatusFilter)}
      />
      <SelectField
        label="Order"
        isLabelHidden
        className="w-28"
        options={SORTS}
        value={view.sort}
        onValue={(value) => setSort(value as Sort)}
      />
      <div className="ml-auto">
        <Segmented label="Layout" value={view.layout} options={layouts} onValue={setLayout} />
      </div>
    </div>
  );
}
