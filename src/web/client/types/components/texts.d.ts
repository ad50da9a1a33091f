/**
 * The text of a key; what stands in {braces} is filled in.
 * @param {string} key
 * @param {Record<string, string | number>} [words]
 */
export function text(key: string, words?: Record<string, string | number>): string;
/** @param {Record<string, string>} texts */
export function setTexts(texts: Record<string, string>): void;
/** 75 s is "01:15", from an hour on "1:02:03". @param {number} ms */
export function clock(ms: number): string;
/**
 * How a call came to its end, for people.
 * @param {string} reason @param {string} name @param {string | null} by @param {number} talkMs
 */
export function endText(reason: string, name: string, by: string | null, talkMs: number): string;
export function hasText(key: string): boolean;
