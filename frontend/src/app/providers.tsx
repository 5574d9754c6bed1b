/** What every page needs around it: the query cache and the notices. */

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { Toaster } from "@/components/ui/toast";
import { ProblemError } from "@/lib/api/errors";

const RETRIES = 2;

/** Retry what may pass (no answer, 5xx); a 4xx stays what it is. */
export function createQueryClient(): QueryClient {
  const isTransient = (error: Error) => !(error instanceof ProblemError) || error.problem.status >= 500;
  return new QueryClient({
    defaultOptions: { queries: { retry: (count, error) => count < RETRIES && isTransient(error), refetchOnWindowFocus: false } },
  });
}

export function Providers({ client, children }: { readonly client: QueryClient; readonly children: ReactNode }) {
  return (
    <QueryClientProvider client={client}>
      {children}
      <Toaster />
    </QueryClientProvider>
  );
}
