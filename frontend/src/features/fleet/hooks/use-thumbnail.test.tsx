import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Thumbnail } from "@/features/fleet/components/thumbnail";
import { periodMs } from "@/features/fleet/hooks/use-thumbnail";
import { robot } from "@/testing/fleet-fixtures";

let show: (isOn: boolean) => void = () => undefined;

class Observer {
  constructor(callback: (entries: readonly { isIntersecting: boolean }[]) => void) {
    show = (isIntersecting) => callback([{ isIntersecting }]);
  }
  observe() {}
  disconnect() {}
}

const picture = (at: number | null, isOnline = true) => (
  <Thumbnail robot={robot({ thumbnail_ms: at, is_online: isOnline })} className="w-24" />
);

describe("thumbnails", () => {
  const fetch = vi.fn(() => Promise.resolve(new Response("jpeg", { status: 200 })));

  const revoke = vi.fn();

  beforeEach(() => {
    vi.useFakeTimers();
    fetch.mockClear();
    vi.stubGlobal("fetch", fetch);
    vi.stubGlobal("IntersectionObserver", Observer);
    let made = 0;
    vi.stubGlobal("URL", Object.assign(URL, { createObjectURL: () => `blob:${++made}`, revokeObjectURL: revoke }));
    HTMLImageElement.prototype.decode = () => Promise.resolve();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("are fetched at most once a second, and only while on screen", async () => {
    const { rerender } = render(picture(1000));
    await act(() => vi.advanceTimersByTimeAsync(5000));
    expect(fetch).not.toHaveBeenCalled();

    act(() => show(true));
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(fetch).toHaveBeenCalledTimes(1);
    for (let at = 1100; at <= 2000; at += 100) {
      rerender(picture(at));
      await act(() => vi.advanceTimersByTimeAsync(99));
    }
    expect(fetch).toHaveBeenCalledTimes(1);
    await act(() => vi.advanceTimersByTimeAsync(10));
    expect(fetch).toHaveBeenCalledTimes(2);

    act(() => show(false));
    rerender(picture(9000));
    await act(() => vi.advanceTimersByTimeAsync(5000));
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it("keep the last picture until the next one is there, and free it then", async () => {
    const { rerender } = render(picture(1000));
    act(() => show(true));
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(screen.getByRole("img").getAttribute("src")).toBe("blob:1");
    fetch.mockResolvedValueOnce(new Response("", { status: 404 }));
    rerender(picture(2000));
    await act(() => vi.advanceTimersByTimeAsync(1000));
    expect(screen.getByRole("img").getAttribute("src")).toBe("blob:1");
    rerender(picture(3000));
    await act(() => vi.advanceTimersByTimeAsync(1000));
    expect(screen.getByRole("img").getAttribute("src")).toBe("blob:2");
    expect(revoke).toHaveBeenCalledWith("blob:1");
  });

  it("never go back to an older picture that arrives late", async () => {
    let answer: (response: Response) => void = () => undefined;
    fetch.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
    const { rerender } = render(picture(1000));
    act(() => show(true));
    await act(() => vi.advanceTimersByTimeAsync(0));
    rerender(picture(2000));
    await act(() => vi.advanceTimersByTimeAsync(1000));
    expect(screen.getByRole("img").getAttribute("src")).toBe("blob:1");
    answer(new Response("late", { status: 200 }));
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(screen.getByRole("img").getAttribute("src")).toBe("blob:1");
    expect(revoke).toHaveBeenCalledWith("blob:2");
  });

  it("say that there is none", () => {
    render(picture(null));
    expect(screen.getByText("No picture")).toBeTruthy();
  });

  it("come less often when many are on screen", () => {
    expect(periodMs(4)).toBe(1000);
    expect(periodMs(40)).toBe(4000);
  });
});
