/** `/settings/robots`: who belongs to the fleet, and how to enrol one. */

import { RobotsPage } from "@/features/robots/components/robots-page";
import { usePageTitle } from "@/hooks/use-page-title";

export function RobotsRoute() {
  usePageTitle("Robots");
  return (
    <>
      <h1 className="mb-3 text-xl font-semibold">Robots</h1>
      <RobotsPage />
    </>
  );
}
