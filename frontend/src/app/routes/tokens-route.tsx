/** `/settings/tokens`: the keys with which this person's scripts use the REST API. */

import { TokensPage } from "@/features/tokens/components/tokens-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function TokensRoute() {
  usePageTitle("API tokens");
  return <TokensPage />;
}
