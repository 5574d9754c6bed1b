/** `/welcome#secret`: an invitation or a password link. What stands behind the # is sent to nobody by the browser. */

import { useState } from "react";

import { FrontDoor } from "@/app/front-door";
import { WelcomeForm } from "@/features/people/components/welcome-form";
import { usePageTitle } from "@/hooks/use-page-title";

export function WelcomeRoute() {
  usePageTitle("Welcome");
  const [secret] = useState(() => window.location.hash.slice(1));
  return (
    <FrontDoor>
      <WelcomeForm secret={secret} />
    </FrontDoor>
  );
}
