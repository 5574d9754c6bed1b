/** Every route of the console. */

import { createBrowserRouter, type RouteObject } from "react-router";

import { DatasetsShell } from "@/app/datasets-shell";
import { ErrorRoute } from "@/app/error-route";
import { EpisodeRoute } from "@/app/routes/episode-route";
import { EpisodesRoute } from "@/app/routes/episodes-route";
import { FleetRoute } from "@/app/routes/fleet-route";
import { HelpRoute } from "@/app/routes/help-route";
import { NotFoundRoute } from "@/app/routes/not-found-route";
import { SignInRoute } from "@/app/routes/sign-in-route";
import { TrainingRoute } from "@/app/routes/training-route";
import { TrainingRunRoute } from "@/app/routes/training-run-route";
import { SettingsShell, SettingsStart } from "@/app/settings-shell";
import { Shell } from "@/app/shell";
import { RequireSession } from "@/features/people/components/require-session";

export const routes: RouteObject[] = [
  { path: "/sign-in", element: <SignInRoute />, errorElement: <ErrorRoute /> },
  {
    path: "/welcome",
    lazy: async () => ({ Component: (await import("@/app/routes/welcome-route")).WelcomeRoute }),
    hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
    errorElement: <ErrorRoute />,
  },
  {
    element: (
      <RequireSession>
        <Shell />
      </RequireSession>
    ),
    errorElement: <ErrorRoute />,
    children: [
      { path: "/", element: <FleetRoute /> },
      // Loaded when it is opened: most visits to the console drive nothing.
      {
        path: "/teleop/:robotId/:otherId?",
        lazy: async () => ({ Component: (await import("@/app/routes/teleop-route")).TeleopRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      { path: "/help", element: <HelpRoute /> },
      {
        path: "/alerts",
        lazy: async () => ({ Component: (await import("@/app/routes/alerts-route")).AlertsRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      { path: "/episodes", element: <EpisodesRoute /> },
      { path: "/episodes/:id", element: <EpisodeRoute /> },
      {
        path: "/episodes/:id/compare/:other?",
        lazy: async () => ({ Component: (await import("@/app/routes/compare-route")).CompareRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/datasets",
        element: <DatasetsShell />,
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
        children: [
          { index: true, lazy: async () => ({ Component: (await import("@/app/routes/datasets-route")).DatasetsRoute }) },
          { path: "exports", lazy: async () => ({ Component: (await import("@/app/routes/exports-route")).ExportsRoute }) },
          { path: "imports", lazy: async () => ({ Component: (await import("@/app/routes/imports-route")).ImportsRoute }) },
          { path: "imports/:id", lazy: async () => ({ Component: (await import("@/app/routes/import-route")).ImportRoute }) },
          { path: ":id", lazy: async () => ({ Component: (await import("@/app/routes/dataset-route")).DatasetRoute }) },
          { path: ":id/freeze", lazy: async () => ({ Component: (await import("@/app/routes/freeze-route")).FreezeRoute }) },
          {
            path: ":id/versions/:number/episodes",
            lazy: async () => ({ Component: (await import("@/app/routes/held-episodes-route")).HeldEpisodesRoute }),
          },
        ],
      },
      {
        path: "/reports",
        lazy: async () => ({ Component: (await import("@/app/routes/reports-route")).ReportsRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/reports/periods",
        lazy: async () => ({ Component: (await import("@/app/routes/periods-route")).PeriodsRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/wall",
        lazy: async () => ({ Component: (await import("@/app/routes/wall-route")).WallRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      { path: "/training", element: <TrainingRoute /> },
      { path: "/training/:run", element: <TrainingRunRoute /> },
      {
        path: "/training/new",
        lazy: async () => ({ Component: (await import("@/app/routes/training-new-route")).TrainingNewRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/training/compare",
        lazy: async () => ({ Component: (await import("@/app/routes/training-compare-route")).TrainingCompareRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/versions",
        lazy: async () => ({ Component: (await import("@/app/routes/versions-route")).VersionsRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/versions/:id",
        lazy: async () => ({ Component: (await import("@/app/routes/version-route")).VersionRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/status",
        lazy: async () => ({ Component: (await import("@/app/routes/status-route")).StatusRoute }),
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
      },
      {
        path: "/settings",
        element: <SettingsShell />,
        hydrateFallbackElement: <div className="min-h-dvh" aria-busy="true" />,
        children: [
          { index: true, element: <SettingsStart /> },
          { path: "profile", lazy: async () => ({ Component: (await import("@/app/routes/profile-route")).ProfileRoute }) },
          { path: "people", lazy: async () => ({ Component: (await import("@/app/routes/people-route")).PeopleRoute }) },
          { path: "groups", lazy: async () => ({ Component: (await import("@/app/routes/groups-route")).GroupsRoute }) },
          { path: "audit", lazy: async () => ({ Component: (await import("@/app/routes/audit-route")).AuditRoute }) },
          { path: "robots", lazy: async () => ({ Component: (await import("@/app/routes/robots-route")).RobotsRoute }) },
          { path: "robots/:id/log", lazy: async () => ({ Component: (await import("@/app/routes/robot-log-route")).RobotLogRoute }) },
          { path: "tasks", lazy: async () => ({ Component: (await import("@/app/routes/tasks-route")).TasksRoute }) },
          { path: "assignments", lazy: async () => ({ Component: (await import("@/app/routes/assignments-route")).AssignmentsRoute }) },
          { path: "storage", lazy: async () => ({ Component: (await import("@/app/routes/storage-route")).StorageRoute }) },
          { path: "webhooks", lazy: async () => ({ Component: (await import("@/app/routes/webhooks-route")).WebhooksRoute }) },
          { path: "tokens", lazy: async () => ({ Component: (await import("@/app/routes/tokens-route")).TokensRoute }) },
        ],
      },
      { path: "*", element: <NotFoundRoute /> },
    ],
  },
];

export const createRouter = () => createBrowserRouter(routes);
