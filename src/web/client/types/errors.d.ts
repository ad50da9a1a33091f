/**
 * From the `d` of an `error` frame.
 * @param {{ code: string, message?: string, retry_after_ms?: number, field?: string, call?: string }} refusal
 */
export function fromRefusal({ code, message, retry_after_ms, field, call }: {
    code: string;
    message?: string;
    retry_after_ms?: number;
    field?: string;
    call?: string;
}): TurnbellError;
/**
 * From what `getUserMedia` rejects with.
 * @param {unknown} cause
 * @param {"microphone" | "camera"} device
 */
export function fromDevice(cause: unknown, device: "microphone" | "camera"): TurnbellError;
/** Throws where a browser would not give out a microphone. */
export function ensureSecureContext(): void;
export const INSECURE_CURES: string[];
export class TurnbellError extends Error {
    /**
     * @param {string} code
     * @param {{ message?: string, cause?: unknown, retryAfterMs?: number, field?: string, call?: string }} [more]
     *   `message` counts where the code is not known here
     */
    constructor(code: string, more?: {
        message?: string;
        cause?: unknown;
        retryAfterMs?: number;
        field?: string;
        call?: string;
    });
    /** A stable word. */
    code: string;
    /** What helps; may be empty. */
    cure: string;
    /** What the server said, for the console. */
    detail: string;
    /** With `rate_limited`: when it may go through. */
    retryAfterMs: number | undefined;
    /** Which field of a request is wrong. */
    field: string | undefined;
    /** The call that stands in the record although it came to nothing. */
    callId: string | undefined;
}
