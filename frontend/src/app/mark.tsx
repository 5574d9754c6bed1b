/** The product's mark. Beside its name always, so it says nothing of its own. */

import mark from "@/assets/mark.svg";

export function Mark({ className }: { readonly className: string }) {
  return <img src={mark} alt="" className={className} />;
}
