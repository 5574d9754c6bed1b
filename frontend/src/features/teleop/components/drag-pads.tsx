/** Pads for mouse and touch over the picture: a cross for the first two axes, a rail for the third, a button for the gripper. */

import { type PointerEvent, type ReactNode, useState } from "react";

import type { OperatorInput } from "@/features/teleop/operator-input";
import { cn } from "@/lib/class-names";

interface DragPadsProps {
  readonly input: OperatorInput;
}

export function DragPads({ input }: DragPadsProps) {
  const { names, isKept } = input.axes;
  const moving = names.map((_, index) => index).filter((index) => isKept[index] !== true);
  const kept = names.map((_, index) => index).filter((index) => isKept[index] === true);
  const [x, y, z] = moving;
  return (
    <div className="pointer-events-none absolute inset-x-2 bottom-2 z-20 flex items-end justify-between" data-testid="pads">
      {x === undefined ? null : (
        <Pad
          label={`Pad: ${names[x] ?? ""}${y === undefined ? "" : ` and ${names[y] ?? ""}`}`}
          className="size-28 rounded-xl"
          onDrag={(right, up) => {
            input.drag(x, right);
            if (y !== undefined) input.drag(y, up);
          }}
        >
          <span className="absolute inset-x-0 top-1 text-center">{y === undefined ? null : `${names[y] ?? ""} +`}</span>
          <span className="absolute top-1/2 right-1.5 -translate-y-1/2">{names[x]} +</span>
        </Pad>
      )}
      <div className="flex items-end gap-2">
        {kept.map((axis) => (
          <Rail key={axis} axis={axis} name={names[axis] ?? ""} input={input} isSpringy={false} />
        ))}
        {z === undefined ? null : <Rail axis={z} name={names[z] ?? ""} input={input} isSpringy />}
      </div>
    </div>
  );
}

interface RailProps {
  readonly axis: number;
  readonly name: string;
  readonly input: OperatorInput;
  /** Goes back to the middle when let go; a kept axis stays where it was put. */
  readonly isSpringy: boolean;
}

function Rail({ axis, name, input, isSpringy }: RailProps) {
  return (
    <Pad
      label={`Pad: ${name}`}
      className="h-28 w-14 rounded-xl"
      isSpringy={isSpringy}
      onDrag={(_, up, isOver) => {
        if (isSpringy || !isOver) input.drag(axis, up);
      }}
    >
      <span className="absolute inset-x-0 top-1 text-center">{name} +</span>
    </Pad>
  );
}

interface PadProps {
  readonly label: string;
  readonly className: string;
  /** Values in [-1, 1]; both 0 and `isOver` when it is let go. */
  readonly onDrag: (right: number, up: number, isOver: boolean) => void;
  readonly isSpringy?: boolean;
  readonly children: ReactNode;
}

function Pad({ label, className, onDrag, isSpringy = true, children }: PadProps) {
  const [knob, setKnob] = useState({ right: 0, up: 0 });
  const follow = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const clamp = (value: number) => Math.max(-1, Math.min(1, value));
    const right = clamp(((event.clientX - box.left) / Math.max(1, box.width)) * 2 - 1);
    const up = clamp(1 - ((event.clientY - box.top) / Math.max(1, box.height)) * 2);
    setKnob({ right, up });
    onDrag(right, up, false);
  };
  const end = () => {
    if (isSpringy) setKnob({ right: 0, up: 0 });
    onDrag(0, 0, true);
  };
  return (
    <div
      role="group"
      aria-label={label}
      className={cn(
        "pointer-events-auto relative touch-none border border-line-strong bg-surface/85 text-[0.6875rem] text-ink select-none",
        className,
      )}
      onPointerDown={(event) => {
        event.preventDefault(); // the focus stays on the cockpit, where the keys are
        event.currentTarget.setPointerCapture(event.pointerId);
        follow(event);
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) follow(event);
      }}
      onPointerUp={end}
      onPointerCancel={end}
      onLostPointerCapture={end}
    >
      {children}
      <span
        aria-hidden
        className="absolute size-4 -translate-1/2 rounded-full border-2 border-ink bg-surface"
        style={{ left: `${50 + knob.right * 42}%`, top: `${50 - knob.up * 42}%` }}
      />
    </div>
  );
}
