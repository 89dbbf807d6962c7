/** Bars of a whole recording. */
const BARS = 600;
/** A decoder's rate: enough to see how loud it is, and an hour takes 115 MB for a moment. */
const RATE = 8000;
/** Longer ones are not decoded in a browser. */
const BYTES_MAX = 64 * 1_048_576;

/** How loud a file is along its time, 0 to 1; null where the browser cannot tell. */
export async function loudness(url: string, sizeBytes: number | null, signal: AbortSignal): Promise<number[] | null> {
    if (sizeBytes === null || sizeBytes > BYTES_MAX) {
        return null;
    }
    try {
        // The link is the permission: the storage sees no credential.
        const answer = await fetch(url, { signal, credentials: "omit" });
        if (!answer.ok) {
            return null;
        }
        const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await answer.arrayBuffer());
        return bars(sound.getChannelData(0));
    } catch {
        return null;
    }
}

function bars(samples: Float32Array): number[] {
    const each = Math.max(1, Math.floor(samples.length / BARS));
    const found: number[] = [];
    for (let from = 0; from < samples.length; from += each) {
        let sum = 0;
        const to = Math.min(samples.length, from + each);
        for (let i = from; i < to; i++) {
            sum += (samples[i] as number) ** 2;
        }
        found.push(Math.sqrt(sum / (to - from)));
    }
    const loudest = Math.max(...found, 1e-6);
    // Quiet voices are to be seen, too.
    return found.map((bar) => Math.sqrt(bar / loudest));
}

/** Draws the bars, those before `played` (0 to 1) in the accent's colour. */
export function draw(canvas: HTMLCanvasElement, bars: readonly number[], played: number): void {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    if (context === null) {
        return;
    }
    const style = getComputedStyle(canvas);
    const [before, after] = [style.getPropertyValue("--accent").trim(), style.getPropertyValue("--edge").trim()];
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const shown = Math.max(1, Math.min(bars.length, Math.floor(width / 3)));
    const step = width / shown;
    for (let i = 0; i < shown; i++) {
        const from = Math.floor((i * bars.length) / shown);
        const to = Math.max(from + 1, Math.floor(((i + 1) * bars.length) / shown));
        const bar = Math.max(...bars.slice(from, to));
        const tall = Math.max(2, bar * (height - 4));
        context.fillStyle = (i + 0.5) / shown <= played ? before : after;
        context.fillRect(i * step + 0.5, (height - tall) / 2, Math.max(1, step - 1), tall);
    }
}
