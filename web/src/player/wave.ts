import type { Rest } from "../api/rest";
import type { Peaks } from "../api/types";

/** Bars of a whole recording. */
const BARS = 600;
/** How often it is asked again for those that are being made, and how long. */
const AGAIN_MS = 2000;
const TRIES = 60;
/** What is never louder than this is not drawn as if it were loud: the noise of a silent room. */
const LOUD = 0.1;

/** How loud a recording is along its time, 0 to 1; empty where nobody knows. */
export async function loudness(rest: Rest, recordingId: string, signal: AbortSignal): Promise<number[]> {
    for (let tries = 0; tries < TRIES && !signal.aborted; tries++) {
        const { peaks, making } = await rest.get<Peaks>(`/v1/recordings/${recordingId}/peaks?points=${BARS}`, signal);
        if (peaks !== null || !making) {
            const loudest = Math.max(...(peaks ?? []), LOUD);
            return (peaks ?? []).map((peak) => peak / loudest);
        }
        await new Promise((again) => setTimeout(again, AGAIN_MS));
    }
    return [];
}

/** Draws the bars of a mix, those before `played` (0 to 1) in the accent's colour. */
export function draw(canvas: HTMLCanvasElement, bars: readonly number[], played: number): void {
    const style = getComputedStyle(canvas);
    const [before, after] = [style.getPropertyValue("--accent").trim(), style.getPropertyValue("--edge").trim()];
    drawBars(canvas, bars, (part) => (part <= played ? before : after));
}

/** Draws bars, each in the colour for its place, 0 to 1. */
export function drawBars(canvas: HTMLCanvasElement, bars: readonly number[], colour: (part: number) => string): void {
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
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const shown = Math.max(1, Math.min(bars.length, Math.floor(width / 3)));
    const step = width / shown;
    for (let i = 0; i < shown; i++) {
        const from = Math.floor((i * bars.length) / shown);
        const to = Math.max(from + 1, Math.floor(((i + 1) * bars.length) / shown));
        const bar = Math.max(...bars.slice(from, to));
        const tall = Math.max(2, bar * (height - 2));
        context.fillStyle = colour((i + 0.5) / shown);
        context.fillRect(i * step + 0.5, (height - tall) / 2, Math.max(1, step - 1), tall);
    }
}
