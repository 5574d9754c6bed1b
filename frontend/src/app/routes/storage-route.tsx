/** `/settings/storage`: what is stored, whether it is whole, what may go. */

import { StoragePage } from "@/features/storage/components/storage-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function StorageRoute() {
  usePageTitle("Storage");
  return <StoragePage />;
}
