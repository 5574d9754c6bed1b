/** A websocket whose server is the test: it says what arrives, and sees what was sent. */

import type { Socket } from "@/lib/socket/console-link";
import type { ServerMessage } from "@/lib/socket/fleet-state";

export class FakeSocket implements Socket {
  readonly sent: unknown[] = [];
  isClosed = false;
  readyState = 1;
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;

  send(data: unknown): void {
    if (typeof data !== "string") throw new Error("the console sends text frames only");
    this.sent.push(JSON.parse(data));
  }

  close(): void {
    this.isClosed = true;
  }

  deliver(seq: number, message: ServerMessage): void {
    this.deliverText(JSON.stringify([seq, message]));
  }

  deliverText(data: string): void {
    this.onmessage?.call(this as unknown as WebSocket, new MessageEvent("message", { data }));
  }

  /** The server closes the link. */
  shut(code: number): void {
    this.onclose?.call(this as unknown as WebSocket, new CloseEvent("close", { code }));
  }
}
