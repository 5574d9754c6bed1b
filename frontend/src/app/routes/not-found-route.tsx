/** Any address that the console does not know. */

import { MapPinOff } from "lucide-react";
import { Link } from "react-router";

import { Notice } from "@/components/ui/notice";
import { usePageTitle } from "@/hooks/use-page-title";

export function NotFoundRoute() {
  usePageTitle("Not found");
  return (
    <div className="grid min-h-[60dvh] place-items-center">
      <div className="text-center">
        <h1 className="sr-only">Not found</h1>
        <Notice icon={MapPinOff} title="There is no page at this address">
          It may have moved, or the link was mistyped.{" "}
          <Link to="/" className="text-link underline underline-offset-2">
            Go to the fleet
          </Link>
        </Notice>
      </div>
    </div>
  );
}
