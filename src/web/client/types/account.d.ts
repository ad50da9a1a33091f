export function config(server: string, token?: string): Promise<{
    features: {
        voice: boolean;
        turn: boolean;
    };
    guests: boolean;
    invites: boolean;
}>;
export function guest(server: string, name: string): Promise<Account>;
export function redeem(server: string, token: string, name: string): Promise<Account>;
export function invite(server: string, token: string, how: {
    to?: string;
    ttl_s?: number;
    uses?: number;
}): Promise<{
    url: string;
    expires_at?: number;
}>;
export function history(server: string, token: string, limit?: number, cursor?: string | null): Promise<{
    items: HistoryEntry[];
    next_cursor: string | null;
}>;
export function endCall(server: string, token: string, call: string): Promise<any>;
export type Account = {
    token: string;
    user: string;
    name: string;
    expires_at?: number;
    to?: string | null;
};
export type HistoryEntry = {
    call: string;
    direction: "INBOUND" | "OUTBOUND";
    status: string;
    reason: string | null;
    /**
     * null: the user had no part in it
     */
    peer: {
        user: string;
        name: string;
    } | null;
    started_at: number;
    answered_at: number | null;
    ended_at: number | null;
    talk_ms: number | null;
    /**
     * as the caller's side saw it
     */
    path?: {
        local: string;
        remote: string;
        proto: string;
    } | null | undefined;
    media?: {
        audio: boolean;
        video: boolean;
    } | undefined;
};
