import { fireEvent, render, screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { Dialog } from "@/components/ui/dialog";

function open() {
  const onClose = vi.fn();
  render(
    <Dialog title="New task" onClose={onClose}>
      <input aria-label="Name" />
    </Dialog>,
  );
  return { onClose, dialog: screen.getByRole("dialog", { name: "New task" }) };
}

describe("a dialog", () => {
  it("closes by a press beside it", () => {
    const { onClose, dialog } = open();
    fireEvent.pointerDown(dialog);
    fireEvent.click(dialog);
    expect(onClose).toHaveBeenCalledOnce();
  });

  it("stays when a text is marked by dragging out of it", () => {
    const { onClose, dialog } = open();
    fireEvent.pointerDown(screen.getByRole("textbox", { name: "Name" }));
    fireEvent.click(dialog); // the browser clicks what holds both ends of the drag
    expect(onClose).not.toHaveBeenCalled();
  });
});
