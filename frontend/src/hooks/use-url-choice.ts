/** A choice kept in the URL, so that a view can be shared and survives a reload. The default leaves no trace there. */

import { useCallback } from "react";
import { useSearchParams } from "react-router";

export function useUrlText(name: string, fallback: string): readonly [string, (value: string) => void] {
  const [params, setParams] = useSearchParams();
  const set = useCallback(
    (value: string) =>
      setParams(
        (previous) => {
          const next = new URLSearchParams(previous);
          if (value === fallback) next.delete(name);
          else next.set(name, value);
          return next;
        },
        { replace: true, preventScrollReset: true },
      ),
    [name, fallback, setParams],
  );
  return [params.get(name) ?? fallback, set];
}

/** As above for a closed set of values; anything else in the URL counts as the fallback. */
export function useUrlChoice<Value extends string>(
  name: string,
  values: readonly Value[],
  fallback: Value,
): readonly [Value, (value: Value) => void] {
  const [text, set] = useUrlText(name, fallback);
  return [values.find((value) => value === text) ?? fallback, set];
}

/** Whether something lies over the page, so that a link can open it. */
export function useUrlFlag(name: string): readonly [boolean, (isOn: boolean) => void] {
  const [text, set] = useUrlText(name, "");
  return [text !== "", useCallback((isOn: boolean) => set(isOn ? "1" : ""), [set])];
}
