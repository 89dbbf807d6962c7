import { keptOriginalSound } from "../api/kept";
import { texts } from "../text";

/** Why there is no microphone, in words for whoever wants to be heard. */
export const whyNot = (error: unknown): string => why(error, texts.device);

/** Why there is no camera, in words for whoever wants to be seen. */
export const whyNoCamera = (error: unknown): string => why(error, texts.device.camera);

function why(error: unknown, said: Pick<typeof texts.device, "blocked" | "none" | "busy" | "failed">): string {
    const name = error instanceof DOMException ? error.name : "";
    switch (name) {
        case "NotAllowedError":
        case "SecurityError":
            return said.blocked;
        case "NotFoundError":
        case "OverconstrainedError":
            return said.none;
        case "NotReadableError":
        case "AbortError":
            return said.busy;
        default:
            return said.failed(error instanceof Error ? error.message : String(error));
    }
}

/** Browsers give devices to secure pages only: https, or this machine itself. */
export const isSecure = (): boolean => window.isSecureContext && navigator.mediaDevices !== undefined;

/**
 * Opens a microphone as it hears: what is recorded is not to be made over by the browser. An echo of the
 * others is no part of a voice, and is taken out unless somebody with headphones chose otherwise.
 */
export async function openMicrophone(deviceId?: string): Promise<MediaStreamTrack> {
    const stream = await navigator.mediaDevices.getUserMedia({
        audio: {
            ...(deviceId === undefined ? {} : { deviceId: { exact: deviceId } }),
            channelCount: 1,
            echoCancellation: !keptOriginalSound.read(),
            noiseSuppression: false,
            autoGainControl: false,
        },
    });
    return stream.getAudioTracks()[0] as MediaStreamTrack;
}

/** The microphones by name. Browsers tell names only after one was allowed. */
export async function microphones(): Promise<MediaDeviceInfo[]> {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}

/** A screen or window; whoever shares chooses it in the browser. */
export async function openScreen(): Promise<MediaStreamTrack> {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 10 } }, audio: false });
    return stream.getVideoTracks()[0] as MediaStreamTrack;
}

export const canShare = (): boolean => navigator.mediaDevices?.getDisplayMedia !== undefined;

export async function openCamera(): Promise<MediaStreamTrack> {
    const stream = await navigator.mediaDevices.getUserMedia({
        video: { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 24 } },
    });
    return stream.getVideoTracks()[0] as MediaStreamTrack;
}
