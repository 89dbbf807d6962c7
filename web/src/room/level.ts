/** How loud tracks are, measured by one audio context for all of them. */

let shared: AudioContext | null = null;

/** The page's audio context. It runs once somebody has pressed something. */
export function audio(): AudioContext {
    shared ??= new AudioContext({ latencyHint: "interactive" });
    if (shared.state === "suspended") {
        void shared.resume().catch(() => undefined);
    }
    return shared;
}

/** Quieter than this is silence, in dB of full scale. */
const FLOOR_DB = -60;

/** Measures one track. */
export class Level {
    private readonly source: MediaStreamAudioSourceNode;
    private readonly analyser: AnalyserNode;
    private readonly samples: Float32Array<ArrayBuffer>;

    constructor(track: MediaStreamTrack) {
        const context = audio();
        this.source = context.createMediaStreamSource(new MediaStream([track]));
        this.analyser = context.createAnalyser();
        this.analyser.fftSize = 1024;
        this.samples = new Float32Array(this.analyser.fftSize);
        this.source.connect(this.analyser);
    }

    /** 0 (silence) to 1 (full scale), even to the ear. */
    read(): number {
        this.analyser.getFloatTimeDomainData(this.samples);
        let sum = 0;
        for (const sample of this.samples) {
            sum += sample * sample;
        }
        const db = 10 * Math.log10(sum / this.samples.length + 1e-12);
        return Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
    }

    close(): void {
        this.source.disconnect();
    }
}
