import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, render, screen, waitFor } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { useRenewed } from "@/hooks/use-renewed";

// How often is use-throttled's matter; here every revision counts at once.
vi.mock("@/hooks/use-throttled", () => ({ useThrottled: <T,>(value: T) => value }));

/** Every reading waits until the test answers it. */
let pending: ((answer: string) => void)[] = [];
let count = 0;

function Shown({ revision, isEnabled = true }: { readonly revision: number; readonly isEnabled?: boolean }) {
  const queryFn = () =>
    new Promise<string>((resolve) => {
      count += 1;
      pending.push(resolve);
    });
  const query = useQuery({ queryKey: ["one"], queryFn, enabled: isEnabled });
  return <p>{useRenewed(query, revision, isEnabled).data ?? "nothing"}</p>;
}

function open() {
  const client = new QueryClient();
  const page = (revision: number, isEnabled?: boolean) => (
    <QueryClientProvider client={client}>
      <Shown revision={revision} {...(isEnabled === undefined ? {} : { isEnabled })} />
      <Shown revision={revision} {...(isEnabled === undefined ? {} : { isEnabled })} />
    </QueryClientProvider>
  );
  const view = render(page(1, true));
  return { show: (revision: number, isEnabled?: boolean) => view.rerender(page(revision, isEnabled)) };
}

async function answer(text: string): Promise<void> {
  await waitFor(() => expect(pending).toHaveLength(1));
  const [resolve] = pending.splice(0);
  await act(async () => {
    resolve?.(text);
    await Promise.resolve();
  });
  await screen.findAllByText(text);
}

const settled = () => act(() => new Promise((resolve) => setTimeout(resolve, 50)));

describe("a query that is renewed", () => {
  beforeEach(() => {
    pending = [];
    count = 0;
  });

  it("is read once for all that show it, again at a new revision, and shows the old meanwhile", async () => {
    const { show } = open();
    await answer("first");
    show(2);
    await waitFor(() => expect(count).toBe(2));
    expect(screen.getAllByText("first")).toHaveLength(2);
    await answer("second");
    await settled();
    expect(count).toBe(2);
  });

  it("ends a reading before it begins the next, and never misses the last revision", async () => {
    const { show } = open();
    await settled();
    show(2);
    await settled();
    show(3);
    await settled();
    expect(count).toBe(1);
    await answer("as of the first");
    await answer("as of the last");
    await settled();
    expect(count).toBe(2);
  });

  it("asks nothing while it is not wanted", async () => {
    const { show } = open();
    await answer("first");
    show(2, false);
    await settled();
    expect(count).toBe(1);
  });
});
