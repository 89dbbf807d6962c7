// Starts the Chromium of this system on a profile of its own, with a microphone and a camera that need no devices.

import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Packages lie where this was started.
export const require = createRequire(join(process.cwd(), "launch.mjs"));

// `voice` is a WAV file that the microphone hears: again and again, or `once`, from when it is opened.
export async function launch({ voice, once }) {
    const profile = await mkdtemp(join(tmpdir(), "hansard-browser-"));
    const browser = await inChromium(profile, voice, once);
    const stop = async () => {
        await browser.close();
        await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
        process.exit(0);
    };
    return { browser, stop };
}

const VIEW = { headless: true, locale: "en-GB", viewport: { width: 1180, height: 760 } };

function inChromium(profile, voice, once) {
    return require("playwright-core").chromium.launchPersistentContext(profile, {
        ...VIEW,
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: [
            "--no-sandbox",
            "--disable-gpu",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            ...(voice == null ? [] : [`--use-file-for-fake-audio-capture=${voice}${once ? "%noloop" : ""}`]),
            // A host that has only the loopback interface gathers no candidates without it.
            "--allow-loopback-in-peer-connection",
            "--autoplay-policy=no-user-gesture-required",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    });
}
