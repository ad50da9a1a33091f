/**
 * @param {number} attempt 0 for the first after a loss
 * @param {number} random 0 to 1
 */
export function delayMs(attempt: number, random: number): number;
