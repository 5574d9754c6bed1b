/** Codes of the robot in words. What is not known here is shown as it came. */

const limits: Readonly<Record<string, string>> = {
  delay: "delay",
  video: "old picture",
  rate: "end of an axis's range",
  workspace: "edge of the workspace",
  slew: "change of speed",
};

const refusals: Readonly<Record<string, string>> = {
  rate: "too many commands",
  flood: "too many messages",
  bad_axes: "a value that no axis can have",
  not_the_driver: "somebody else drives",
  fenced: "sent before control changed hands",
  reordered: "overtaken by a newer one",
  clock_unknown: "clocks not compared yet",
  late: "too late",
  future: "clocks do not fit",
  stopped: "the robot is stopped",
  not_neutral: "input not at rest yet",
};

export const limitWord = (code: string): string => limits[code] ?? code;
export const refusalWord = (code: string): string => refusals[code] ?? code;
