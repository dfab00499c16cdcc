import { lazy, Suspense, type ComponentType } from "react";
import { createBrowserRouter, Link, useRouteError, type RouteObject } from "react-router";
import { Failure, Page, Rows } from "./parts/Page";
import { NowPage } from "./pages/now";
import { Shell } from "./shell/Shell";

// The first screen is in the first file; every other one comes when opened.
const page = (path: string, load: () => Promise<{ default: ComponentType }>): RouteObject => {
  const Lazy = lazy(load);
  return {
    path,
    element: (
      <Suspense fallback={<main className="page" aria-busy="true"><Rows /></main>}>
        <Lazy />
      </Suspense>
    ),
    errorElement: <Broken />,
  };
};

export const router = createBrowserRouter([
  {
    element: <Shell />,
    errorElement: <Broken />,
    children: [
      { path: "/", element: <NowPage />, errorElement: <Broken /> },
      page("/services", () => import("./pages/services")),
      page("/services/:name", () => import("./pages/service")),
      page("/map", () => import("./pages/map")),
      page("/problems", () => import("./pages/problems")),
      page("/problems/:id", () => import("./pages/problem")),
      page("/rollouts", () => import("./pages/rollouts")),
      page("/rollouts/:id", () => import("./pages/rollout")),
      page("/pipelines", () => import("./pages/pipelines")),
      page("/pipelines/:name", () => import("./pages/pipeline")),
      page("/releases/:id", () => import("./pages/release")),
      page("/builds", () => import("./pages/builds")),
      page("/guardians", () => import("./pages/guardians")),
      page("/guardians/:name", () => import("./pages/guardian")),
      page("/validations/:id", () => import("./pages/validation")),
      page("/traces", () => import("./pages/traces")),
      page("/traces/:id", () => import("./pages/trace")),
      page("/changes", () => import("./pages/changes")),
      page("/flags", () => import("./pages/flags")),
      page("/loadtests", () => import("./pages/loadtests")),
      page("/loadtests/:runId", () => import("./pages/loadtest")),
      page("/workflows", () => import("./pages/workflows")),
      page("/workflows/:runId", () => import("./pages/workflowrun")),
      page("/audit", () => import("./pages/audit")),
      { path: "*", element: <Lost /> },
    ],
  },
]);

function Broken() {
  const error = useRouteError();
  return (
    <Page title="This screen broke">
      <Failure error={error} retry={() => location.reload()} />
    </Page>
  );
}

function Lost() {
  return (
    <Page title="No such page">
      <p>
        Nothing lives at <code>{location.pathname}</code>. <Link to="/">Go to Now</Link>, or press <kbd>/</kbd> to search.
      </p>
    </Page>
  );
}
