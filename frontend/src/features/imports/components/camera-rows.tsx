/** Cameras: which come in, under which name, at which size. */

import { TextField } from "@/components/ui/field";
import { Cell, Table } from "@/components/ui/table";
import type { Camera, CameraTarget } from "@/features/imports/api/imports";
import { FieldProblem } from "@/features/imports/components/field-problem";
import type { PartProps } from "@/features/imports/components/mapping-form";
import { formatCount } from "@/lib/units/format";

const columns = [
  { key: "in", label: "Comes in" },
  { key: "feature", label: "In the dataset" },
  { key: "name", label: "Name here" },
  { key: "width", label: "Width (px)" },
  { key: "height", label: "Height (px)" },
  { key: "how", label: "How" },
];
const even = (size: number) => Math.floor(size / 2) * 2;

export function CameraRows({ report, mapping, change, problem }: PartProps) {
  if (report.cameras.length === 0) return <p className="text-sm text-ink-muted">The dataset has no cameras.</p>;
  const set = (feature: string, target: CameraTarget | null) => {
    const others = Object.entries(mapping.cameras).filter(([key]) => key !== feature);
    change({ cameras: Object.fromEntries(target === null ? others : [...others, [feature, target]]) });
  };
  return (
    <section aria-label="Cameras">
      <h3 className="mb-1 text-sm font-medium">Cameras</h3>
      <Table caption="Cameras of the dataset and what becomes of them" columns={columns}>
        {report.cameras.map((camera) => (
          <Row key={camera.feature} camera={camera} target={mapping.cameras[camera.feature] ?? null} problem={problem(`cameras.${camera.feature}`)} set={(target) => set(camera.feature, target)} />
        ))}
      </Table>
      <FieldProblem text={problem("cameras")} />
    </section>
  );
}

interface RowProps {
  readonly camera: Camera;
  readonly target: CameraTarget | null;
  readonly problem: string;
  readonly set: (target: CameraTarget | null) => void;
}

function Row({ camera, target, problem, set }: RowProps) {
  const fallback = camera.feature.replace(/^observation\.images\./, "").toLowerCase().replace(/[^a-z0-9_.-]+/g, "-");
  const proposal = { name: fallback, width: even(camera.width), height: even(camera.height) };
  const side = (label: "width" | "height") => (
    <TextField
      label={`${label} of ${camera.feature}`}
      isLabelHidden
      type="number"
      min={2}
      max={8192}
      step={2}
      className="w-24"
      disabled={target === null}
      value={target?.[label] ?? ""}
      onChange={(event) => target && set({ ...target, [label]: Math.round(Number(event.target.value)) })}
    />
  );
  return (
    <tr className="align-top">
      <Cell>
        <input
          type="checkbox"
          aria-label={`${camera.feature} comes in`}
          className="mt-1.5 size-4 accent-action"
          checked={target !== null}
          onChange={() => set(target === null ? proposal : null)}
        />
      </Cell>
      <Cell className="pt-2.5">
        <span className="font-mono text-xs">{camera.feature}</span>{" "}
        <span className="text-xs whitespace-nowrap text-ink-muted">
          {camera.width} × {camera.height}, {camera.codec}
        </span>
      </Cell>
      <Cell>
        <TextField
          label={`name of ${camera.feature}`}
          isLabelHidden
          maxLength={59}
          disabled={target === null}
          aria-invalid={problem !== ""}
          value={target?.name ?? ""}
          onChange={(event) => target && set({ ...target, name: event.target.value })}
        />
        <FieldProblem text={problem} />
      </Cell>
      <Cell>{side("width")}</Cell>
      <Cell>{side("height")}</Cell>
      <Cell className="pt-2.5 text-xs text-ink-muted">{how(camera, target)}</Cell>
    </tr>
  );
}

function how(camera: Camera, target: CameraTarget | null): string {
  if (target === null) return "left out";
  if (target.width !== camera.width || target.height !== camera.height) return "scaled, encoded anew";
  if (camera.encoded === 0) return "packets copied";
  return camera.copied === 0 ? "encoded anew" : `${formatCount(camera.copied)} copied, ${formatCount(camera.encoded)} encoded anew`;
}
