/** A chart as a PNG with its title, what it says of itself, and the theme that is seen. */

import { saveBlob } from "@/lib/save-file";

const COPIED = [
  "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "fill-opacity", "stroke-opacity", "opacity",
  "font-size", "font-family", "font-weight", "text-anchor",
] as const; // prettier-ignore
const SCALE = 2;
const MARGIN = 16;
const LINE = 16;

/** Rejects if the browser cannot draw it. */
export async function savePng(svg: SVGSVGElement, name: string, title: string, lines: readonly string[]): Promise<void> {
  const { width, height } = svg.getBoundingClientRect();
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser has no canvas");
  const style = getComputedStyle(svg);
  context.font = `12px ${style.fontFamily}`;
  const notes = lines.flatMap((line) => wrapped(context, line, width));
  const top = MARGIN + 24;
  canvas.width = (width + 2 * MARGIN) * SCALE;
  canvas.height = (top + height + notes.length * LINE + MARGIN) * SCALE;
  context.scale(SCALE, SCALE);
  context.fillStyle = getComputedStyle(svg.closest("section") ?? document.body).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = style.color;
  context.font = `600 15px ${style.fontFamily}`;
  context.fillText(title, MARGIN, MARGIN + 12);
  context.drawImage(await picture(svg, width, height), MARGIN, top, width, height);
  context.font = `12px ${style.fontFamily}`;
  notes.forEach((line, index) => context.fillText(line, MARGIN, top + height + (index + 1) * LINE));
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("the picture is too large");
  saveBlob(name, blob);
}

async function picture(svg: SVGSVGElement, width: number, height: number): Promise<HTMLImageElement> {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const from = [svg, ...svg.querySelectorAll("*")];
  const to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((element, index) => {
    const style = getComputedStyle(element);
    const target = to[index] as SVGElement | undefined;
    for (const property of COPIED) target?.style.setProperty(property, style.getPropertyValue(property));
  });
  copy.setAttribute("width", `${width}`);
  copy.setAttribute("height", `${height}`);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await image.decode();
  return image;
}

function wrapped(context: CanvasRenderingContext2D, text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && context.measureText(longer).width > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
