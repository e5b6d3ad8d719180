import type { Event } from "./events.js";

/** A call that has begun. */
interface Begun {
  readonly events: AsyncGenerator<Event, void, undefined>;
  /** Ends the call at once, also while `events` waits for a message. */
  readonly end: () => void;
}

/**
 * The events of one call, which begins with the first `next`. Ends after `completed`, or throws.
 *
 * Leaving the loop cancels the call, as `return` does at any time; the server then stops within one step. A stream can be
 * read once.
 */
export class EventStream implements AsyncIterableIterator<Event, void, undefined> {
  readonly #begin: () => Begun;
  #begun: Begun | undefined;
  #left = false;

  /** @internal */
  constructor(begin: () => Begun) {
    this.#begin = begin;
  }

  /** Waits for the next event. */
  async next(): Promise<IteratorResult<Event, void>> {
    if (this.#left) return { done: true, value: undefined };
    this.#begun ??= this.#begin();
    try {
      return await this.#begun.events.next();
    } catch (error) {
      if (this.#hasLeft()) return { done: true, value: undefined };
      throw error;
    }
  }

  /** Cancels the call if it still runs. */
  async return(): Promise<IteratorResult<Event, void>> {
    this.#left = true;
    this.#begun?.end();
    await this.#begun?.events.return();
    return { done: true, value: undefined };
  }

  /** The stream itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Asked after a wait, in which `return` may have been called. */
  #hasLeft(): boolean {
    return this.#left;
  }
}
