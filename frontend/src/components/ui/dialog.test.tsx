import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import { type ReactNode, useState } from "react";
import { describe, expect, it, vi } from "vitest";

import { Dialog } from "@/components/ui/dialog";
import { SecretShown } from "@/components/ui/secret-shown";

/** A form that gives way to what it made, as tokens and enrolment codes do. */
function Making() {
  const [isOpen, setOpen] = useState(false);
  const [isMade, setMade] = useState(false);
  return (
    <>
      <button onClick={() => setOpen(true)}>New token</button>
      {isOpen ? (
        <Dialog title="New token" onClose={() => setOpen(false)}>
          {isMade ? (
            <SecretShown label="Token" secret="s3cret" onClose={() => setOpen(false)}>
              Copy it now.
            </SecretShown>
          ) : (
            <button onClick={() => setMade(true)}>Make</button>
          )}
        </Dialog>
      ) : null}
    </>
  );
}

const press = (name: string) => {
  const button = screen.getByRole("button", { name });
  button.focus();
  fireEvent.click(button);
};

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

  it("gives the focus to its first field or answer, not to the button that closes it", () => {
    open();
    expect(document.activeElement).toBe(screen.getByRole("textbox", { name: "Name" }));
  });

  it("gives it to a form that is read first, once that is there", async () => {
    const shown = (content: ReactNode) => (
      <Dialog title="Export" onClose={vi.fn()}>
        {content}
      </Dialog>
    );
    const { rerender } = render(shown("Loading"));
    rerender(shown(<select aria-label="Format" />));
    await waitFor(() => expect(document.activeElement).toBe(screen.getByRole("combobox", { name: "Format" })));
  });

  it("stays when a text is marked by dragging out of it", () => {
    const { onClose, dialog } = open();
    fireEvent.pointerDown(screen.getByRole("textbox", { name: "Name" }));
    fireEvent.click(dialog); // the browser clicks what holds both ends of the drag
    expect(onClose).not.toHaveBeenCalled();
  });

  it("leaves the focus on the page if nothing opened it, as with a link that does", () => {
    const { unmount } = render(
      <main id="main" tabIndex={-1}>
        <Dialog title="Enrol a robot" onClose={() => undefined}>
          <input aria-label="What it is for" />
        </Dialog>
      </main>,
    );
    unmount();
    expect(document.activeElement).toBe(document.body);
    const main = document.body.appendChild(Object.assign(document.createElement("main"), { id: "main", tabIndex: -1 }));
    render(<Dialog title="Enrol a robot" onClose={() => undefined} children={null} />).unmount();
    expect(document.activeElement).toBe(main);
    main.remove();
  });

  it("keeps the focus inside when its parts change, and gives it back to the button that opened it", () => {
    render(<Making />);
    press("New token");
    press("Make");
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "Copy: Token" }));
    press("I have it");
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "New token" }));
  });
});
