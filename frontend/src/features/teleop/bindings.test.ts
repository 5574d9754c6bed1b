import { beforeEach, describe, expect, it } from "vitest";

import { axesOf } from "@/features/teleop/axes";
import { defaultBindings, loadBindings, rebind, RESERVED, saveBindings, sourceLabel, targetsOf } from "@/features/teleop/bindings";
import { commandOf, SHORTCUTS } from "@/features/teleop/shortcuts";
import { movedSource } from "@/features/teleop/components/shortcuts-dialog";

const axes = axesOf(["dx", "dy", "dz", "gripper"], ["gripper"]);

describe("bindings", () => {
  beforeEach(() => localStorage.clear());

  it("begin with a cross of keys, arrows, sticks and Space for the gripper", () => {
    const bound = defaultBindings(axes);
    expect(bound["axis:0:+"]).toEqual(["key:KeyD", "key:ArrowRight", "stick:0:+"]);
    expect(bound["axis:1:+"]).toEqual(["key:KeyW", "key:ArrowUp", "stick:1:-"]);
    expect(bound["axis:2:-"]).toEqual(["key:KeyF", "key:KeyQ", "stick:3:+"]);
    expect(bound["toggle:3"]).toEqual(["key:Space", "button:0"]);
    expect(Object.keys(bound).sort()).toEqual(targetsOf(axes).map(({ target }) => target).sort());
  });

  it("use no source twice, nor a key of the cockpit", () => {
    const many = axesOf(["a", "b", "c", "d", "e", "f", "g1", "g2"], ["g1", "g2"]);
    const sources = Object.values(defaultBindings(many)).flat();
    expect(new Set(sources).size).toBe(sources.length);
    expect(sources.filter((source) => RESERVED.has(source))).toEqual([]);
  });

  it("give a key away only once, and leave the gamepad alone", () => {
    const bound = rebind(defaultBindings(axes), "axis:0:+", "key:KeyW");
    expect(bound["axis:0:+"]).toEqual(["key:KeyW", "stick:0:+"]);
    expect(bound["axis:1:+"]).toEqual(["key:ArrowUp", "stick:1:-"]);
    expect(rebind(bound, "axis:0:+", "stick:2:+")["axis:0:+"]).toEqual(["key:KeyW", "stick:2:+"]);
  });

  it("never take the stop key", () => {
    const bound = defaultBindings(axes);
    expect(rebind(bound, "axis:0:+", "key:Period")).toBe(bound);
    localStorage.setItem("sop.teleop.bindings.dx,dy,dz,gripper", JSON.stringify({ "axis:0:+": ["key:Period"] }));
    expect(loadBindings(axes)).toEqual(bound);
  });

  it("are kept for each kind of robot, and survive rubbish in storage", () => {
    const changed = rebind(defaultBindings(axes), "toggle:3", "key:KeyM");
    saveBindings(axes, changed);
    expect(loadBindings(axes)).toEqual(changed);
    expect(loadBindings(axesOf(["dx"], []))["axis:0:+"]).toContain("key:KeyD");
    localStorage.setItem("sop.teleop.bindings.dx,dy,dz,gripper", '{"toggle:3": 7, "nonsense": ["x"]');
    expect(loadBindings(axes)).toEqual(defaultBindings(axes));
  });

  it("are named as people say them", () => {
    expect(["key:KeyW", "key:ArrowLeft", "key:Digit1", "stick:1:-", "button:0"].map(sourceLabel)).toEqual(["W", "←", "1", "stick 1 −", "button 0"]);
  });

  it("hear what was moved on the gamepad, not what was deflected all along", () => {
    const before = { id: "g", axes: [0, 0.9], buttons: [0, 0] };
    expect(movedSource(before, before)).toBeNull();
    expect(movedSource(before, { ...before, axes: [-0.8, 0.9] })).toBe("stick:0:-");
    expect(movedSource(before, { ...before, buttons: [0, 1] })).toBe("button:1");
  });
});

describe("shortcuts", () => {
  it("stop by the key that is printed with a dot, wherever it lies", () => {
    expect(commandOf({ key: ".", code: "KeyE" })).toBe("stop");
    expect(commandOf({ key: "?", code: "Minus" })).toBe("help");
    expect(commandOf({ key: "w", code: "KeyW" })).toBeNull();
  });

  it("are all listed", () => {
    const listed = SHORTCUTS.map(({ command }) => command);
    const codes = ["Period", "KeyT", "KeyH", "KeyG", "KeyB", "KeyN", "KeyX", "KeyC", "KeyV"];
    expect([...codes.map((code) => commandOf({ key: "", code })), "help"].sort()).toEqual([...listed].sort());
    expect(codes.filter((code) => !RESERVED.has(`key:${code}`))).toEqual([]);
  });
});
