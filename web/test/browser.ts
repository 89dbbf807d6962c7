/** What a browser says of its reader; to be imported before what reads texts. */
Object.defineProperty(globalThis, "navigator", { value: { languages: ["en-GB"] }, configurable: true });
