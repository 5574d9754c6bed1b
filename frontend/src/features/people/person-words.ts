/** How roles, permissions and browsers are called. */

const roleAbout: Readonly<Record<string, string>> = {
  viewer: "Watches everything, and may stop any robot.",
  operator: "Also drives robots and labels episodes.",
  manager: "Also takes robots over from others, assigns tasks, rolls versions out, exports and imports.",
  admin: "May do everything, people and settings included.",
  exporter: "Watches, collects datasets and exports them.",
};

export const aboutRole = (name: string): string => roleAbout[name] ?? "";

/** "clear_stop" as "clear stop". */
export const permissionWords = (name: string): string => name.replaceAll("_", " ");

const browsers = [
  ["Edg/", "Edge"],
  ["Firefox/", "Firefox"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
] as const;
const systems = [
  ["Android", "Android"],
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Windows", "Windows"],
  ["Mac OS", "macOS"],
  ["Linux", "Linux"],
] as const;

/** "Firefox on Linux", or what the program calls itself. */
export function deviceOf(agent: string): string {
  const browser = browsers.find(([mark]) => agent.includes(mark))?.[1];
  const system = systems.find(([mark]) => agent.includes(mark))?.[1];
  if (browser === undefined) return agent.split(" ")[0] || "An unnamed program";
  return system === undefined ? browser : `${browser} on ${system}`;
}
