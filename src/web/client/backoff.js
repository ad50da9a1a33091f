// How long to wait before the next attempt to connect. Pure.

const STEPS_MS = [0, 300, 1000, 2000, 4000, 7000];
const JITTER = 0.3;

/**
 * @param {number} attempt 0 for the first after a loss
 * @param {number} random 0 to 1
 */
export function delayMs(attempt, random) {
  const step = STEPS_MS[Math.min(attempt, STEPS_MS.length - 1)];
  return Math.round(step * (1 - JITTER + 2 * JITTER * random));
}
