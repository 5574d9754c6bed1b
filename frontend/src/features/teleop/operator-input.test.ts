import { afterEach, describe, expect, it, vi } from "vitest";

import { axesOf } from "@/features/teleop/axes";
import { defaultBindings } from "@/features/teleop/bindings";
import { currentGamepad, listen } from "@/features/teleop/input-listeners";
import { deadZone, OperatorInput } from "@/features/teleop/operator-input";

const axes = axesOf(["dx", "dy", "dz", "gripper"], ["gripper"]);

function atRest(): OperatorInput {
  const input = new OperatorInput(axes, defaultBindings(axes));
  input.setSpeed(2);
  input.read();
  return input;
}

const gamepad = (sticks: readonly number[], buttons: readonly number[] = []) => ({ id: "pad", axes: sticks, buttons });

describe("hold to move", () => {
  it("moves while a key is held, and rests when it is let go", () => {
    const input = atRest();
    expect(input.press("key:KeyW")).toBe(true);
    expect(input.read()).toEqual([0, 1, 0, 0]);
    input.press("key:KeyS");
    expect(input.read()).toEqual([0, 0, 0, 0]);
    input.lift("key:KeyS");
    input.lift("key:KeyW");
    expect(input.read()).toEqual([0, 0, 0, 0]);
    expect(input.press("key:KeyM")).toBe(false);
  });

  it("scales what moves by the speed level, never what is kept", () => {
    const input = atRest();
    input.press("key:Digit1");
    input.press("key:Space");
    input.press("key:KeyA");
    expect(input.read()).toEqual([-0.25, 0, 0, 1]);
    input.press("key:Space");
    expect(input.read()).toEqual([-0.25, 0, 0, -1]);
  });

  it("keeps the gripper as the robot has it when somebody takes over", () => {
    const input = atRest();
    input.adopt([0.7, 0.7, 0.7, 0.4]);
    expect(input.read()).toEqual([0, 0, 0, 0.4]);
    input.release("test");
    expect(input.read()).toEqual([0, 0, 0, 0.4]);
    input.adopt([0, 0, 0, Number.NaN]);
    expect(input.read()[3]).toBe(0.4);
  });

  it("bounds keys, pads and sticks together", () => {
    const input = atRest();
    input.sample(gamepad([0, 0, 0, 0]));
    input.read();
    input.press("key:KeyD");
    input.drag(0, 0.8);
    input.sample(gamepad([1, 0, 0, 0]));
    expect(input.read()).toEqual([1, 0, 0, 0]);
    input.drag(3, -5);
    expect(input.read()[3]).toBe(-1);
  });
});

describe("dead zone", () => {
  it("is silent inside and begins without a jump", () => {
    expect([0, 0.12, -1, Number.NaN].map(deadZone)).toEqual([0, 0, 0, 0]);
    expect(deadZone(0.1201)).toBeLessThan(0.001);
    expect(deadZone(1)).toBe(1);
  });
});

describe("release", () => {
  it("lets go of everything, and takes nothing before all was at rest", () => {
    const input = atRest();
    input.sample(gamepad([0, 0]));
    input.read();
    input.sample(gamepad([0.9, 0]));
    input.press("key:KeyW");
    expect(input.read()[0]).toBeGreaterThan(0.8);
    input.release("the tab was hidden");
    expect(input.read()).toEqual([0, 0, 0, 0]);
    expect(input.held).toEqual({ isWaiting: true, because: "the tab was hidden" });
    input.press("key:KeyW"); // the stick is still deflected
    expect(input.read()).toEqual([0, 0, 0, 0]);
    input.sample(gamepad([0, 0]));
    input.lift("key:KeyW");
    input.read();
    input.sample(gamepad([0.9, 0]));
    expect(input.read()[0]).toBeGreaterThan(0.8);
  });

  it("waits for a key that was down before it could drive", () => {
    const input = atRest();
    input.touch("key:KeyW");
    input.touch("key:KeyM"); // means nothing
    expect(input.isAtRest).toBe(false);
    input.release("the robot was stopped");
    expect(input.held.isWaiting).toBe(true);
    input.lift("key:KeyW");
    expect(input.isAtRest).toBe(true);
    input.touch("key:KeyW");
    input.lose("the window lost the focus");
    expect(input.isAtRest).toBe(true);
  });

  it("begins so: a stick that is stuck when it is plugged in moves nothing", () => {
    const input = new OperatorInput(axes, defaultBindings(axes));
    input.sample(gamepad([0, -1]));
    expect(input.read()).toEqual([0, 0, 0, 0]);
    expect(input.isAtRest).toBe(false);
    expect(input.held).toEqual({ isWaiting: true, because: "a gamepad was connected" });
  });

  it("happens when the gamepad goes away", () => {
    const input = atRest();
    input.sample(gamepad([0, 0]));
    input.read();
    input.press("key:KeyW");
    input.sample(null);
    expect(input.read()).toEqual([0, 0, 0, 0]);
    expect(input.held.because).toBe("the gamepad went away");
  });

  it("takes nothing while a dialog holds it, and not what was pressed meanwhile", () => {
    const input = atRest();
    const letGo = input.hold("a dialog was open");
    input.press("key:KeyW");
    input.drag(0, 1);
    expect(input.read()).toEqual([0, 0, 0, 0]);
    expect(input.held.isWaiting).toBe(true);
    letGo();
    expect(input.read()).toEqual([0, 0, 0, 0]);
    input.press("key:KeyW");
    expect(input.read()).toEqual([0, 1, 0, 0]);
  });

  it("toggles once a press of a button, not while it is held", () => {
    const input = atRest();
    input.sample(gamepad([0], [0]));
    input.read();
    input.sample(gamepad([0], [1]));
    input.sample(gamepad([0], [1]));
    expect(input.read()[3]).toBe(1);
    input.sample(gamepad([0], [0]));
    input.sample(gamepad([0], [1]));
    expect(input.read()[3]).toBe(-1);
  });
});

describe("listeners of a pane", () => {
  let stop = (): void => undefined;
  afterEach(() => {
    stop();
    document.body.replaceChildren();
  });

  function pane(isDriving = true) {
    const element = document.createElement("section");
    element.tabIndex = -1;
    const field = document.createElement("input");
    const button = document.createElement("button");
    const outside = document.createElement("button");
    element.append(field, button);
    document.body.append(element, outside);
    const input = atRest();
    const commands: string[] = [];
    const onCommand = (event: KeyboardEvent) => {
      if (event.key === ".") commands.push("stop");
      return event.key === ".";
    };
    stop = listen(element, input, { onCommand, onStop: () => commands.push("stop at once"), isDriving: () => isDriving });
    element.focus();
    return { element, field, button, outside, input, commands };
  }

  const press = (code: string, init: KeyboardEventInit = {}) => {
    const event = new KeyboardEvent("keydown", { code, key: code === "Period" ? "." : code, cancelable: true, bubbles: true, ...init });
    (document.activeElement ?? document.body).dispatchEvent(event);
    return event.defaultPrevented;
  };

  it("take keys while the focus is inside, and keep arrows from scrolling", () => {
    const { input } = pane();
    expect(press("ArrowUp")).toBe(true);
    expect(press("ArrowUp", { repeat: true })).toBe(true);
    expect(input.read()).toEqual([0, 1, 0, 0]);
    window.dispatchEvent(new KeyboardEvent("keyup", { code: "ArrowUp" }));
    expect(input.read()).toEqual([0, 0, 0, 0]);
  });

  it("stop at once while the page around the cockpit has the focus, as after a click beside it", () => {
    const { element, input, commands } = pane();
    const page = document.createElement("main");
    page.tabIndex = -1;
    document.body.append(page);
    page.append(element);
    page.focus();
    expect(press("KeyW")).toBe(false);
    expect(input.read()).toEqual([0, 0, 0, 0]);
    expect(press("Period")).toBe(true);
    expect(commands).toEqual(["stop at once"]);
    page.remove();
  });

  it("leave keys alone in fields, on buttons for Space, outside, and without the lease", () => {
    const { field, button, outside, input, commands } = pane();
    field.focus();
    expect(press("KeyW")).toBe(false);
    expect(press("Period")).toBe(false);
    button.focus();
    expect(press("Space")).toBe(false);
    expect(press("KeyW")).toBe(true);
    outside.focus();
    expect(press("KeyD")).toBe(false);
    expect(input.read()).toEqual([0, 0, 0, 0]);
    expect(commands).toEqual([]);
  });

  it("do not drive without the lease, but stop", () => {
    const { input, commands } = pane(false);
    expect(press("KeyW")).toBe(false);
    expect(press("Period")).toBe(true);
    expect(commands).toEqual(["stop"]);
    expect(input.read()).toEqual([0, 0, 0, 0]);
  });

  it("stop from anywhere by Pause, and by the dot while nothing has the focus", () => {
    const { field, element, commands } = pane(false);
    field.focus();
    press("Pause");
    press("Pause", { repeat: true });
    field.blur();
    press("Period");
    element.focus();
    press("Period");
    expect(commands).toEqual(["stop at once", "stop at once", "stop"]);
  });

  it.each([
    ["blur", () => window.dispatchEvent(new Event("blur")), "the window lost the focus"],
    ["pagehide", () => window.dispatchEvent(new Event("pagehide")), "the page was left"],
    ["an unplugged gamepad", () => window.dispatchEvent(new Event("gamepaddisconnected")), "the gamepad was unplugged"],
    ["a key of the system", () => press("KeyC", { ctrlKey: true }), "a key of the system was pressed"],
    [
      "a hidden tab",
      () => {
        vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
        document.dispatchEvent(new Event("visibilitychange"));
      },
      "the tab was hidden",
    ],
    [
      "focus that leaves",
      () => document.querySelector<HTMLElement>("body > button")?.focus(),
      "the focus left the cockpit",
    ],
  ])("release all on %s", (_, act, because) => {
    const { input } = pane();
    press("KeyW");
    expect(input.read()).toEqual([0, 1, 0, 0]);
    act();
    expect(input.held.because).toBe(because);
    expect(input.read()).toEqual([0, 0, 0, 0]);
  });

  it("hear nothing any more once stopped", () => {
    const { input } = pane();
    stop();
    press("KeyW");
    expect(input.read()).toEqual([0, 0, 0, 0]);
  });
});

describe("currentGamepad", () => {
  it("copies the first that is connected; null without one", () => {
    expect(currentGamepad()).toBeNull();
    const pads = [null, { connected: true, id: "g", axes: [0.5], buttons: [{ value: 1 }] }];
    vi.stubGlobal("navigator", { getGamepads: () => pads });
    expect(currentGamepad()).toEqual({ id: "g", axes: [0.5], buttons: [1] });
    vi.unstubAllGlobals();
  });
});
