/** @param {Kind} kind @param {string} id */
export function choose(kind: Kind, id: string): void;
/** What calls take: the microphone and the camera that were chosen and are plugged in. */
export function forCalls(): Promise<{
    microphone: string | undefined;
    camera: string | undefined;
}>;
/** What was chosen and is plugged in. @returns {Promise<Choice>} */
export function chosen(): Promise<Choice>;
/**
 * A labelled list for each kind of device there is.
 * @param {Partial<Record<Kind, string | undefined>>} now what is in use
 * @param {(kind: Kind, id: string) => unknown} take
 * @returns {Promise<HTMLElement[]>}
 */
export function choices(now: Partial<Record<Kind, string | undefined>>, take: (kind: Kind, id: string) => unknown): Promise<HTMLElement[]>;
export type Kind = "microphone" | "camera" | "speaker";
export type Choice = Partial<Record<Kind, string>>;
