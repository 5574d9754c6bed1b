/** `/versions/:id`: what went into a version, what came out, where it drives; compare it, stage it, take it home. */

import { Download, MapPinOff } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { Card, Panel } from "@/components/ui/card";
import { Figure } from "@/components/ui/figure";
import { Notice } from "@/components/ui/notice";
import { Skeleton } from "@/components/ui/skeleton";
import { Cell, Table } from "@/components/ui/table";
import { downloadPath, type Report, useRelease, useReport } from "@/features/versions/api/versions";
import { ActDialog, canaryLimits, type Plan } from "@/features/versions/components/act-dialog";
import { ComparePanel } from "@/features/versions/components/compare-panel";
import { DeploymentsPanel } from "@/features/versions/components/deployments-panel";
import { NotesPanel } from "@/features/versions/components/notes-panel";
import { ShadowPanel } from "@/features/versions/components/shadow-panel";
import { StageChips } from "@/features/versions/components/stage-chips";
import { Unreadable } from "@/features/versions/components/versions-page";
import { rateText } from "@/features/versions/words";
import { useMay } from "@/hooks/use-session";
import { usePageTitle } from "@/hooks/use-page-title";
import { ProblemError } from "@/lib/api/errors";
import { formatBytes, formatCount, formatDay, formatNoun } from "@/lib/units/format";

export function VersionPage({ id }: { readonly id: string }) {
  const { data, error, refetch } = useReport(id);
  usePageTitle(data === undefined ? "Version" : `Version ${data.version.number} of ${data.run_name}`);
  if (data !== undefined) return <KnownVersion report={data} />;
  if (error === null) return <Skeleton className="h-96" />;
  if (error instanceof ProblemError && error.problem.status === 404) {
    return (
      <Card>
        <h1 className="sr-only">Version</h1>
        <Notice icon={MapPinOff} title="There is no such version">
          <Link to="/versions" className="text-link underline underline-offset-2">
            See all versions
          </Link>
        </Notice>
      </Card>
    );
  }
  return (
    <>
      <h1 className="sr-only">Version</h1>
      <Unreadable error={error} onRetry={() => void refetch()} />
    </>
  );
}

function KnownVersion({ report }: { readonly report: Report }) {
  const { version } = report;
  const [plan, setPlan] = useState<Plan | null>(null);
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center justify-between gap-3">
        <div className="flex min-h-8 flex-wrap items-center gap-3">
          <h1 className="text-xl font-semibold">
            Version {version.number} <span className="font-normal text-ink-muted">of {report.run_name}</span>
          </h1>
          <StageChips stages={version.stages} />
        </div>
        <VersionActions report={report} onPlan={setPlan} />
      </div>
      <VersionFigures report={report} />
      <div className="grid grid-cols-1 gap-4 xl:grid-cols-2">
        <ComparePanel version={version} />
        <TasksPanel report={report} />
        <DataPanel report={report} />
        <NotesPanel key={version.notes} version={version} />
      </div>
      <ShadowPanel version={version} />
      <DeploymentsPanel report={report} onPlan={setPlan} />
      {plan === null ? null : <ActDialog plan={plan} onClose={() => setPlan(null)} />}
    </>
  );
}

interface ActionsProps {
  readonly report: Report;
  readonly onPlan: (plan: Plan) => void;
}

function VersionActions({ report: { version }, onPlan }: ActionsProps) {
  const release = useRelease(version.run).data;
  const stage = (strategy: "canary" | "immediate", title: string, text: string): Plan => ({
    title: `${title} v${version.number}`,
    text,
    button: title,
    done: strategy === "canary" ? `v${version.number} is being tried.` : `v${version.number} is current.`,
    ...(strategy === "canary" ? { limits: canaryLimits(release?.canary) } : {}),
    make: (_reason, settings) => ({ kind: "stage", version: version.id, strategy, ...(strategy === "canary" ? { settings } : {}) }),
  });
  const mayExport = useMay("export");
  const mayTrain = useMay("run_training");
  const isCurrent = version.stages.includes("current");
  const waiting = release?.strategy === "immediate" ? " New versions wait from then on: the strategy becomes manual." : "";
  return (
    <div className="flex flex-wrap gap-2">
      <Button
        needs="release_versions"
        onClick={() => onPlan(stage("canary", "Try", `Some robots drive with it, and their episodes are compared with the others'.${waiting}`))}
      >
        Try on some robots
      </Button>
      <Button
        needs="release_versions"
        disabled={isCurrent}
        onClick={() => onPlan(stage("immediate", "Promote", "Every robot that is not pinned gets it at the end of its episode."))}
      >
        Promote
      </Button>
      {mayTrain ? (
        <Link
          to={`/training/new?from=${version.id}&copy=${version.run}`}
          className="inline-flex h-8 items-center gap-1.5 rounded-md border border-line-strong bg-surface px-3 text-sm text-ink hover:bg-raised"
        >
          Train on from here
        </Link>
      ) : (
        <Button needs="run_training">Train on from here</Button>
      )}
      {mayExport ? (
        <a
          href={downloadPath(version.id)}
          download
          className="inline-flex h-8 items-center gap-1.5 rounded-md border border-line-strong bg-surface px-3 text-sm text-ink hover:bg-raised"
        >
          <Download aria-hidden className="size-4" />
          Download
        </a>
      ) : (
        <Button needs="export">
          <Download aria-hidden className="size-4" />
          Download
        </Button>
      )}
    </div>
  );
}

function VersionFigures({ report: { version, manifest_sha256, blobs } }: { readonly report: Report }) {
  return (
    <Card className="mb-4 px-4 py-3">
      <dl className="grid grid-cols-2 gap-x-6 gap-y-2.5 sm:grid-cols-3 xl:grid-cols-6">
        <Figure label="Autonomous success">{rateText(version.rates.success)}</Figure>
        <Figure label="With intervention">{rateText(version.rates.interventions)}</Figure>
        <Figure label="Drives on">{formatNoun(version.robots, "robot")}</Figure>
        <Figure label="Size" note={`${Object.keys(blobs).length} blobs`}>
          {formatBytes(version.size_bytes)}
        </Figure>
        <Figure label="Gradient step" note={version.architecture}>
          {formatCount(version.step)}
        </Figure>
        <Figure label="Published" note={manifest_sha256.slice(0, 8)}>
          {formatDay(Date.parse(version.published_at))}
        </Figure>
      </dl>
    </Card>
  );
}

const taskColumns = [
  { key: "task", label: "Task" },
  { key: "success", label: "Autonomous success, 95 % interval, n", isNumeric: true },
  { key: "interventions", label: "With intervention", isNumeric: true },
];

function TasksPanel({ report }: { readonly report: Report }) {
  return (
    <Panel title="By task">
      {report.tasks.length === 0 ? (
        <p className="text-sm text-ink-muted">It has driven no episode yet.</p>
      ) : (
        <Table caption="Rates by task" columns={taskColumns}>
          {report.tasks.map((row) => (
            <tr key={row.task}>
              <Cell>
                <Link
                  to={`/episodes?policy_version=${report.version.id}&task=${encodeURIComponent(row.task)}`}
                  className="text-link underline underline-offset-2"
                >
                  {row.task}
                </Link>
              </Cell>
              <Cell isNumeric>{rateText(row.success)}</Cell>
              <Cell isNumeric>{rateText(row.interventions)}</Cell>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

const dataColumns = [
  { key: "task", label: "Task" },
  { key: "origin", label: "Source" },
  { key: "episodes", label: "Episodes", isNumeric: true },
  { key: "frames", label: "Frames", isNumeric: true },
  { key: "human", label: "By people or supervisor", isNumeric: true },
];

/** The version it was trained from, and the frozen dataset with its digest. */
function Origin({ report: { version, parent, dataset } }: { readonly report: Report }) {
  const link = "text-link underline underline-offset-2";
  return (
    <dl className="mb-3 grid gap-y-1 text-sm sm:grid-cols-[max-content_1fr] sm:gap-x-4">
      {parent === null ? null : (
        <>
          <dt className="text-ink-muted">Trained from</dt>
          <dd>
            <Link to={`/versions/${parent.id}`} className={link}>
              {`Version ${parent.number}`}
            </Link>
            {parent.run === version.run ? null : (
              <>
                {" of "}
                <Link to={`/training/${parent.run}`} className={link}>
                  {parent.run_name}
                </Link>
              </>
            )}
          </dd>
        </>
      )}
      {dataset === null ? null : (
        <>
          <dt className="text-ink-muted">Dataset</dt>
          <dd>
            <Link to={`/datasets/${dataset.dataset}`} className={link}>
              {dataset.name}
            </Link>
            {` version ${dataset.version}, ${dataset.split === "" ? "all of it" : `split ${dataset.split}`}`}
            {dataset.takes_online ? ", and new episodes of robots" : ""}
          </dd>
          <dt className="text-ink-muted">Dataset digest, SHA-256</dt>
          <dd className="min-w-0 font-mono text-xs break-all select-all">{dataset.digest}</dd>
        </>
      )}
    </dl>
  );
}

function DataPanel({ report }: { readonly report: Report }) {
  return (
    <Panel title="What it could learn from">
      <Origin report={report} />
      {report.data === null ? (
        <p className="text-sm text-ink-muted">Not known: it was made before the run began, or imported.</p>
      ) : (
        <Table caption="Episodes that the learner could draw from" columns={dataColumns}>
          {report.data.map((row) => (
            <tr key={`${row.task}/${row.origin}`}>
              <Cell>{row.task}</Cell>
              <Cell>{row.origin}</Cell>
              <Cell isNumeric>{formatCount(row.episodes)}</Cell>
              <Cell isNumeric>{formatCount(row.frames)}</Cell>
              <Cell isNumeric>{formatCount(row.human_frames)}</Cell>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}
