/** A short tone. Browsers keep audio shut until the user acted on the page: switching the sound on is such an act. */

const HERTZ = 880;
const LENGTH_S = 0.18;
const LOUDNESS = 0.15;

let context: AudioContext | null = null;

/** Sound once; silent where the browser has no audio or does not allow it yet. */
export async function beep(): Promise<void> {
  if (typeof AudioContext === "undefined") return;
  context ??= new AudioContext();
  try {
    await context.resume();
  } catch {
    return;
  }
  const tone = context.createOscillator();
  const volume = context.createGain();
  const now = context.currentTime;
  tone.frequency.value = HERTZ;
  // An edge would click: up at once but not abruptly, then down to nothing.
  volume.gain.setValueAtTime(0, now);
  volume.gain.linearRampToValueAtTime(LOUDNESS, now + 0.01);
  volume.gain.linearRampToValueAtTime(0, now + LENGTH_S);
  tone.connect(volume).connect(context.destination);
  tone.start(now);
  tone.stop(now + LENGTH_S);
}
