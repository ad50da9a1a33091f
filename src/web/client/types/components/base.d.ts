/**
 * An element: attributes, listeners as `onclick`, children.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] false, null and undefined are left out
 * @param {...(Node | string | null | false | undefined)} children
 * @returns {HTMLElement & Record<string, any>}
 */
export function h(tag: string, attributes?: Record<string, any>, ...children: (Node | string | null | false | undefined)[]): HTMLElement & Record<string, any>;
/** @param {string} name */
export function icon(name: string): SVGSVGElement;
/** Initials on a colour that belongs to the name. @param {string} name @param {string} [part] */
export function avatar(name: string, part?: string): HTMLElement & Record<string, any>;
/** @param {string} css */
export function sheet(css: string): CSSStyleSheet;
/** @param {string} name @param {CustomElementConstructor} made */
export function define(name: string, made: CustomElementConstructor): void;
/** A component with a shadow root, the common styles and its own. */
export class Part extends HTMLElement {
    /** @param {CSSStyleSheet} [style] */
    constructor(style?: CSSStyleSheet);
    root: ShadowRoot;
    /** Listeners of things that outlive the component end with it. @param {...(() => void)} offs */
    until(...offs: (() => void)[]): void;
    /** Ends what `until` was given. */
    release(): void;
    disconnectedCallback(): void;
    /** Tells the page. @param {string} name @param {unknown} [detail] */
    tell(name: string, detail?: unknown): void;
    #private;
}
