/** Join class names, leaving out what is false: `cn("card", isOpen && "open")`. Later classes do not override earlier ones. */
export const cn = (...names: readonly (string | false | null | undefined)[]): string => names.filter(Boolean).join(" ");
