/** Plays what the others say: an element for each voice, outside of what is drawn. */
export class Sound {
    private readonly elements = new Map<string, HTMLAudioElement>();
    /** The browser waits for a key or click. */
    isBlocked = false;

    constructor(private readonly changed: () => void) {}

    /** Plays exactly these voices. */
    play(voices: Map<string, MediaStreamTrack>): void {
        for (const [id, element] of this.elements) {
            if (!voices.has(id)) {
                element.srcObject = null;
                this.elements.delete(id);
            }
        }
        for (const [id, track] of voices) {
            const playing = this.elements.get(id);
            const stream = playing?.srcObject as MediaStream | undefined;
            if (stream?.getAudioTracks()[0] !== track) {
                const element = playing ?? new Audio();
                element.srcObject = new MediaStream([track]);
                this.elements.set(id, element);
                void this.start(element);
            }
        }
    }

    /** After a click: plays what was not allowed before. */
    async resume(): Promise<void> {
        this.isBlocked = false;
        await Promise.all([...this.elements.values()].map((element) => this.start(element)));
    }

    close(): void {
        this.play(new Map());
    }

    private async start(element: HTMLAudioElement): Promise<void> {
        try {
            await element.play();
        } catch (error) {
            if (error instanceof DOMException && error.name === "NotAllowedError") {
                this.isBlocked = true;
                this.changed();
            }
        }
    }
}
