export const STAGE: CSSStyleSheet;
