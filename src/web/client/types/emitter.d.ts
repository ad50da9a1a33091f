/**
 * @template {Record<string, any>} Events
 */
export class Emitter<Events extends Record<string, any>> {
    /**
     * Calls `listener` with what happened, each time; the function it returns ends that.
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {(value: Events[Name]) => void} listener
     * @returns {() => void}
     */
    on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void;
    /**
     * The next time that something happens.
     * @template {keyof Events} Name
     * @param {Name} name
     * @returns {Promise<Events[Name]>}
     */
    next<Name extends keyof Events>(name: Name): Promise<Events[Name]>;
    /**
     * One listener's error keeps nothing from the others.
     * @protected
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {Events[Name]} value
     */
    protected emit<Name extends keyof Events>(name: Name, value: Events[Name]): void;
    #private;
}
