/** Branded numbers, so that seconds and milliseconds cannot be mixed up by accident. */

declare const unit: unique symbol;

export type Milliseconds = number & { readonly [unit]: "ms" };
export type Seconds = number & { readonly [unit]: "s" };
/** A time on the Unix clock, in milliseconds. */
export type UnixMilliseconds = number & { readonly [unit]: "unix-ms" };
/** A share between 0 and 1. */
export type Fraction = number & { readonly [unit]: "fraction" };

export const milliseconds = (value: number): Milliseconds => value as Milliseconds;
export const seconds = (value: number): Seconds => value as Seconds;
export const unixMilliseconds = (value: number): UnixMilliseconds => value as UnixMilliseconds;
export const fraction = (value: number): Fraction => value as Fraction;

export const toSeconds = (value: Milliseconds): Seconds => seconds(value / 1000);
export const toMilliseconds = (value: Seconds): Milliseconds => milliseconds(value * 1000);
/** Time from `start` to `end`; negative when they are in the other order. */
export const elapsed = (start: UnixMilliseconds, end: UnixMilliseconds): Milliseconds => milliseconds(end - start);
