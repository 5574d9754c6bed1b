/** What is left of a page that threw: says so and offers the way back. */

import { Bug } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/notice";

export function ErrorRoute() {
  return (
    <main className="grid min-h-dvh place-items-center">
      <Notice icon={Bug} title="This page failed" action={<Button onClick={() => window.location.reload()}>Load it again</Button>}>
        Something in the console broke. Robots and training are not affected.
      </Notice>
    </main>
  );
}
