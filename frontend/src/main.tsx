/** Entry: theme first, so that nothing is painted in the wrong colours, then the app. */

import "@/styles/index.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";

import { createQueryClient, Providers } from "@/app/providers";
import { createRouter } from "@/app/router";
import { applyTheme } from "@/hooks/use-theme";

applyTheme();
const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <Providers client={createQueryClient()}>
      <RouterProvider router={createRouter()} />
    </Providers>
  </StrictMode>,
);
