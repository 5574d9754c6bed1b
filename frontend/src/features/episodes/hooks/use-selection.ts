/** Which rows are ticked. Another filter or order is another list: it begins with none. */

import { useState } from "react";

export interface Selection {
  readonly ids: ReadonlySet<string>;
  /** Everything that the filter finds, loaded or not. */
  readonly isAll: boolean;
  readonly toggle: (id: string) => void;
  readonly setAll: (ids: readonly string[]) => void;
  readonly setEverything: () => void;
  readonly clear: () => void;
}

const NONE: ReadonlySet<string> = new Set();

export function useSelection(list: string): Selection {
  const [state, setState] = useState({ list, ids: NONE, isAll: false });
  const isCurrent = state.list === list;
  const ids = isCurrent ? state.ids : NONE;
  const put = (next: ReadonlySet<string>, isAll = false) => setState({ list, ids: next, isAll });
  return {
    ids,
    isAll: isCurrent && state.isAll,
    toggle: (id) => {
      const next = new Set(ids);
      if (!next.delete(id)) next.add(id);
      put(next);
    },
    setAll: (all) => put(new Set(all)),
    setEverything: () => put(ids, true),
    clear: () => put(NONE),
  };
}
