/** STUN and TURN for this browser, with credentials that last for a while: GET /api/v1/ice-servers. */

import { request } from "@/lib/api/client";
import { list, record, text } from "@/lib/api/decode";

const answer = record({ ice_servers: list(record({ urls: list(text), username: text, credential: text })) });
const LIMIT_MS = 4000;

/** Read anew for every offer: credentials run out. Throws as `request` does. */
export async function readIceServers(): Promise<RTCIceServer[]> {
  const { ice_servers } = await request("/api/v1/ice-servers", answer, { limitMs: LIMIT_MS });
  return ice_servers.map(({ urls, username, credential }) => ({
    urls: [...urls],
    ...(username ? { username, credential } : {}),
  }));
}
