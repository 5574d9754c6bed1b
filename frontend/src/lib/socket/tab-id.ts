/**
 * The identity of this tab: the server's `connection` of its leases and peers, kept over a reload.
 *
 * Duplicating a tab copies its session storage, and two tabs must never share a lease. So a tab that is open says so
 * beside its id and takes that back when it is left; whoever finds the mark takes a new id. A tab that crashed leaves
 * the mark behind and comes back as another one, which costs it its lease: the safe side.
 */

import { randomId } from "@/lib/random-id";

const ID = "sop.tab";
const OPEN = "sop.tab.open";

let current: string | null = null;

export function tabId(): string {
  current ??= claim();
  return current;
}

/** Take the id in storage or a new one. Exported for its test; callers use `tabId`. */
export function claim(): string {
  try {
    const kept = sessionStorage.getItem(OPEN) === null ? sessionStorage.getItem(ID) : null;
    const id = kept ?? randomId();
    const mark = () => sessionStorage.setItem(OPEN, "1");
    sessionStorage.setItem(ID, id);
    mark();
    window.addEventListener("pagehide", () => sessionStorage.removeItem(OPEN));
    window.addEventListener("pageshow", mark); // back from the browser's cache of pages
    return id;
  } catch {
    return randomId(); // storage may be forbidden: then a reload is another tab
  }
}
