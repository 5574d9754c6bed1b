/** `/versions/:id`: one policy version. */

import { useParams } from "react-router";

import { useSession } from "@/features/people/api/session";
import { VersionPage } from "@/features/versions/components/version-page";

export function VersionRoute() {
  const { id = "" } = useParams();
  const { data } = useSession();
  return <VersionPage key={id} id={id} mayRelease={data?.user?.is_staff === true} />;
}
