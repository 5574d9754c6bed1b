/** Ticks. A worker's timers keep their pace when the tab is hidden, the page's do not. */

import { TICK_MS } from "@/features/teleop/drive-sender";

setInterval(() => self.postMessage(null), TICK_MS);
