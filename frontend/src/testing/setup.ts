/** What jsdom lacks and the console needs, plus cleaning up after each test. */

import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

import { useFleetStore } from "@/lib/socket/fleet-store";
import { useHelpStore } from "@/lib/socket/help-store";
import { useTailStore } from "@/lib/socket/run-tail";

// A role is looked up in the whole page, which takes jsdom a second when other programs share the cores.
configure({ asyncUtilTimeout: 10_000 });

// uPlot asks for it on import, the theme when rendered.
vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => undefined, removeEventListener: () => undefined }));

class NoObserver {
  observe() {}
  disconnect() {}
}
vi.stubGlobal("ResizeObserver", NoObserver);
vi.stubGlobal("IntersectionObserver", NoObserver);

Object.defineProperty(Element.prototype, "scrollIntoView", { value: () => Promise.resolve() }); // as Chromium 156 has it
HTMLDialogElement.prototype.showModal = function showModal() {
  this.open = true;
};
HTMLDialogElement.prototype.close = function close() {
  this.open = false;
  this.dispatchEvent(new Event("close"));
};

afterEach(() => {
  cleanup();
  useFleetStore.getState().reset();
  useTailStore.getState().reset();
  useHelpStore.getState().reset();
});
