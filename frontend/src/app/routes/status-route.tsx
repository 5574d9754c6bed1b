/** `/status`: how the system itself is. */

import { StatusPage } from "@/features/status/components/status-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function StatusRoute() {
  usePageTitle("Status");
  return <StatusPage />;
}
