/**
 * By which way the media goes; undefined before it goes any.
 * @param {Iterable<Stat>} all
 * @returns {Pair | undefined}
 */
export function pathOf(all: Iterable<Stat>): Pair | undefined;
/**
 * What to report, and what to hand in the next time.
 * @param {Iterable<Stat>} all
 * @param {number} now milliseconds
 * @param {Counters | null} before
 * @returns {{ sample: Sample, counters: Counters }}
 */
export function measure(all: Iterable<Stat>, now: number, before: Counters | null): {
    sample: Sample;
    counters: Counters;
};
/**
 * 1 (bad) to 4.5: a simplified E-model (ITU-T G.107) of delay, jitter and loss.
 * @param {number} rttMs @param {number} jitterMs @param {number} lossPercent
 */
export function opinionScore(rttMs: number, jitterMs: number, lossPercent: number): number;
/**
 * A mark for people.
 * @param {Sample} sample
 * @returns {"good" | "fair" | "poor" | null} null: nothing is known
 */
export function mark({ mos }: Sample): "good" | "fair" | "poor" | null;
export type Pair = {
    local: string;
    remote: string;
    proto: "udp" | "tcp" | "tls";
};
export type Stat = Record<string, any>;
/**
 * what `quality.report` says
 */
export type Sample = {
    window_ms: number;
    rtt_ms?: number | undefined;
    jitter_ms?: number | undefined;
    loss_percent?: number | undefined;
    mos?: number | undefined;
    bitrate_in?: number | undefined;
    bitrate_out?: number | undefined;
    concealed_percent?: number | undefined;
    level_in?: number | undefined;
    level_out?: number | undefined;
    packets_in?: number | undefined;
    pair?: Pair | undefined;
    codec?: string | undefined;
};
export type Counters = {
    at: number;
    bytesIn: number;
    bytesOut: number;
    packetsIn: number;
    lost: number;
    samples: number;
    concealed: number;
};
