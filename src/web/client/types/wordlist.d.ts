export const WORDS: string[];
