import { fireEvent, render, screen } from "@testing-library/react";
import { useState } from "react";
import { describe, expect, it, vi } from "vitest";

import { Button } from "@/components/ui/button";

/** As a button that sends a request, and is off until it is answered. */
function Sending({ onSend }: { readonly onSend: () => void }) {
  const [isPending, setPending] = useState(false);
  const send = () => {
    onSend();
    setPending(true);
  };
  return (
    <>
      <Button disabled={isPending} onClick={send}>
        Pause
      </Button>
      <Button onClick={() => setPending(false)}>Answered</Button>
    </>
  );
}

describe("a button", () => {
  it("that turns itself off keeps the focus, and does nothing until it is on again", () => {
    const onSend = vi.fn();
    render(<Sending onSend={onSend} />);
    const button = screen.getByRole<HTMLButtonElement>("button", { name: "Pause" });
    button.focus();
    fireEvent.click(button);
    // What is `disabled` loses the focus in browsers, which this test's document does not play.
    expect([button.disabled, button.getAttribute("aria-disabled"), document.activeElement]).toEqual([false, "true", button]);
    fireEvent.click(button);
    expect(onSend).toHaveBeenCalledOnce();
    fireEvent.click(screen.getByRole("button", { name: "Answered" }));
    expect([button.disabled, button.getAttribute("aria-disabled")]).toEqual([false, null]);
    fireEvent.click(button);
    expect(onSend).toHaveBeenCalledTimes(2);
  });

  it("that is off while the focus is elsewhere takes none", () => {
    render(<Button disabled>Freeze</Button>);
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Freeze" }).disabled).toBe(true);
  });
});
