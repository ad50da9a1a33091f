export const PHONE: CSSStyleSheet;
