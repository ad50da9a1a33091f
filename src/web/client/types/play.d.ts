/**
 * @param {import("./call.js").Call} call
 * @param {HTMLMediaElement} element
 * @param {(play: () => Promise<void>) => void} onBlocked the browser wants a tap: run `play` in it
 */
export function playIn(call: import("./call.js").Call, element: HTMLMediaElement, onBlocked: (play: () => Promise<void>) => void): void;
