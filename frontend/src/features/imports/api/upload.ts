/**
 * An archive to the object store: hashed here, because the store takes exactly the promised bytes, then PUT.
 *
 * XMLHttpRequest and not fetch: only it tells how much was sent. The hash is a library's, because the browser's own
 * wants the whole file in memory.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

import type { Upload } from "@/features/imports/api/imports";
import { RequestError } from "@/lib/api/errors";

const PIECE = 4 * 1024 * 1024;
/** Of silence, not of the whole: an upload may take an hour. */
const STALL_MS = 60_000;
const SET_BY_BROWSER = ["content-length", "host"];

export type OnBytes = (done: number) => void;

/** Return the file's SHA-256 in hex, read in pieces, so that the page stays alive. */
export async function hashFile(file: Blob, onBytes: OnBytes, signal: AbortSignal): Promise<string> {
  const hash = sha256.create();
  for (let start = 0; start < file.size; start += PIECE) {
    signal.throwIfAborted();
    hash.update(new Uint8Array(await file.slice(start, start + PIECE).arrayBuffer()));
    onBytes(Math.min(file.size, start + PIECE));
  }
  return bytesToHex(hash.digest());
}

/** Send the file. Throws RequestError when it does not arrive, and the signal's reason when it is aborted. */
export function putFile(upload: Upload, file: Blob, onBytes: OnBytes, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    let stall: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(stall);
      stall = setTimeout(() => sending.abort(), STALL_MS);
    };
    const stop = () => sending.abort();
    const end = (error?: Error) => {
      clearTimeout(stall);
      signal.removeEventListener("abort", stop);
      if (signal.aborted) reject(signal.reason as Error);
      else if (error === undefined) resolve();
      else reject(error);
    };
    sending.upload.onprogress = (event) => {
      alive();
      onBytes(event.loaded);
    };
    sending.onload = () => {
      // 412: the store has these very bytes already.
      const isThere = (sending.status >= 200 && sending.status < 300) || sending.status === 412;
      end(isThere ? undefined : new RequestError(`The archive was refused (${sending.status}).`));
    };
    sending.onerror = () => end(new RequestError("The archive could not be sent: the connection broke."));
    sending.onabort = () => end(new RequestError("The archive could not be sent: nothing moved for a minute."));
    signal.addEventListener("abort", stop);
    sending.open("PUT", upload.url);
    for (const [name, value] of Object.entries(upload.headers)) {
      if (!SET_BY_BROWSER.includes(name.toLowerCase())) sending.setRequestHeader(name, value);
    }
    alive();
    sending.send(file);
  });
}
