import { describe, expect, it, vi } from "vitest";

import { hashFile } from "@/features/imports/api/upload";

describe("hashFile", () => {
  it("gives the SHA-256 of a file in pieces, and stops when it is told", async () => {
    const seen = vi.fn();
    const none = new AbortController();
    expect(await hashFile(new Blob(["abc"]), seen, none.signal)).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(seen).toHaveBeenLastCalledWith(3);
    none.abort(new Error("enough"));
    await expect(hashFile(new Blob(["abc"]), seen, none.signal)).rejects.toThrow("enough");
  });
});
