/**
 * From the session descriptions as each browser negotiated them.
 * @param {string} localSdp
 * @param {string} remoteSdp
 * @returns {Promise<string[] | null>} null if one of them has no fingerprint
 */
export function fourWords(localSdp: string, remoteSdp: string): Promise<string[] | null>;
