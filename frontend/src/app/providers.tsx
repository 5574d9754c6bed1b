/** What every page needs around it: the query cache and the notices. */

import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { Toaster } from "@/components/ui/toast";
import { sessionKey } from "@/hooks/use-session";
import { ProblemError } from "@/lib/api/errors";

const RETRIES = 2;

/** Retry what may pass (no answer, 5xx); a 4xx stays what it is, and a 401 makes the console ask who is signed in. */
export function createQueryClient(): QueryClient {
  const isTransient = (error: Error) => !(error instanceof ProblemError) || error.problem.status >= 500;
  const queryCache = new QueryCache({
    onError: (error) => {
      if (error instanceof ProblemError && error.problem.status === 401) void client.invalidateQueries({ queryKey: sessionKey });
    },
  });
  const client = new QueryClient({
    queryCache,
    defaultOptions: { queries: { retry: (count, error) => count < RETRIES && isTransient(error), refetchOnWindowFocus: false } },
  });
  return client;
}

export function Providers({ client, children }: { readonly client: QueryClient; readonly children: ReactNode }) {
  return (
    <QueryClientProvider client={client}>
      {children}
      <Toaster />
    </QueryClientProvider>
  );
}
