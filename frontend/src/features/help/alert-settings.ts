/** Whether a new request sounds and is counted in the tab's title. Kept in this browser, off until switched on. */

import { create } from "zustand";

const KEY = "sop.help.alerts";

export interface AlertSettings {
  readonly isSoundOn: boolean;
  readonly isTitleOn: boolean;
}

interface AlertStore extends AlertSettings {
  readonly set: (change: Partial<AlertSettings>) => void;
}

function stored(): AlertSettings {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const isOn = (name: string) => typeof found === "object" && found !== null && (found as Record<string, unknown>)[name] === true;
    return { isSoundOn: isOn("isSoundOn"), isTitleOn: isOn("isTitleOn") };
  } catch {
    return { isSoundOn: false, isTitleOn: false }; // storage may be forbidden, or hold something else
  }
}

export const useAlertSettings = create<AlertStore>()((set, get) => ({
  ...stored(),
  set: (change) => {
    set(change);
    const { isSoundOn, isTitleOn } = get();
    try {
      localStorage.setItem(KEY, JSON.stringify({ isSoundOn, isTitleOn }));
    } catch {
      // Then the choice lasts as long as the page.
    }
  },
}));
