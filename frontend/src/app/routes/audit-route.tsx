/** `/settings/audit`: what was changed, by whom. */

import { AuditPage } from "@/features/audit/components/audit-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function AuditRoute() {
  usePageTitle("Audit log");
  return <AuditPage />;
}
