/** Offers content as a file to save. */

export function saveText(name: string, content: string, type: string): void {
  saveBlob(name, new Blob([content], { type }));
}

export function saveBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

/** One row of CSV; text with commas, quotes or line ends is quoted. */
export function csvRow(cells: readonly (string | number | null)[]): string {
  return cells
    .map((cell) => {
      const written = cell === null ? "" : `${cell}`;
      return /[",\n]/.test(written) ? `"${written.replaceAll('"', '""')}"` : written;
    })
    .join(",");
}
