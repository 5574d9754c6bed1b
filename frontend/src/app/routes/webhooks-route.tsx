/** `/settings/webhooks`: who is told what happens, and what became of each message. */

import { WebhooksPage } from "@/features/webhooks/components/webhooks-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function WebhooksRoute() {
  usePageTitle("Webhooks");
  return <WebhooksPage />;
}
