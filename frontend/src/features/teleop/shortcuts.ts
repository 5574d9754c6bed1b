/** The pane's own keys, which nobody binds to anything else. One table for the keyboard, the buttons' hints and the overlay. */

export type Command = "stop" | "take" | "hand-back" | "swap" | "success" | "failure" | "restart" | "end" | "clear" | "help";

interface Shortcut {
  readonly command: Command;
  readonly key: string;
  readonly label: string;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { command: "stop", key: ".", label: "Stop the robot (also Pause)" },
  { command: "take", key: "T", label: "Take over" },
  { command: "hand-back", key: "H", label: "Hand back to the policy" },
  { command: "success", key: "G", label: "Mark success (good)" },
  { command: "failure", key: "B", label: "Mark failure (bad)" },
  { command: "restart", key: "N", label: "Restart the episode (new scene)" },
  { command: "end", key: "X", label: "End the episode" },
  { command: "clear", key: "C", label: "Clear the stop" },
  { command: "swap", key: "V", label: "Show the other view large" },
  { command: "help", key: "?", label: "Show the keys" },
];

const byCode: Readonly<Record<string, Command>> = {
  Period: "stop",
  KeyT: "take",
  KeyH: "hand-back",
  KeyG: "success",
  KeyB: "failure",
  KeyN: "restart",
  KeyX: "end",
  KeyC: "clear",
  KeyV: "swap",
};

/** The command of a key press. "." and "?" go by what is printed on the key, the letters by their place, as the drive keys. */
export function commandOf(event: Pick<KeyboardEvent, "key" | "code">): Command | null {
  if (event.key === "?") return "help";
  if (event.key === ".") return "stop";
  return byCode[event.code] ?? null;
}

export const keyOf = (command: Command): string => SHORTCUTS.find((each) => each.command === command)?.key ?? "";
