/** A thin bar for something that counts up to a known number. */

interface ProgressProps {
  readonly label: string;
  readonly value: number;
  readonly max: number;
}

export function Progress({ label, value, max }: ProgressProps) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuenow={value}
      aria-valuemin={0}
      aria-valuemax={max}
      className="h-1 overflow-hidden rounded-full bg-inset"
    >
      <div className="h-full origin-left rounded-full bg-line-strong" style={{ transform: `scaleX(${share})` }} />
    </div>
  );
}
