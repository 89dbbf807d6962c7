// Starts a browser of this system on a profile of its own, with a microphone and a camera that need no devices.

import { createRequire } from "node:module";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Packages lie where this was started.
export const require = createRequire(join(process.cwd(), "launch.mjs"));

// `voice` is a WAV file that the microphone hears: again and again, or `once`, from when it is opened.
// The browser is set to `locale`.
export async function launch({ voice, once, firefox, locale }) {
    const profile = await mkdtemp(join(tmpdir(), "hansard-browser-"));
    const view = { headless: true, locale: locale ?? "en-GB", viewport: { width: 1180, height: 760 } };
    const browser = firefox ? await inFirefox(profile, view, voice) : await inChromium(profile, view, voice, once);
    const stop = async () => {
        await browser.close();
        await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
        process.exit(0);
    };
    return { browser, stop };
}

function inChromium(profile, view, voice, once) {
    return require("playwright-core").chromium.launchPersistentContext(profile, {
        ...view,
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

// By WebDriver BiDi. It cannot be told to hear a file, so the page gets the sound of an element that plays one, once, from
// when it asks for a microphone.
async function inFirefox(profile, view, voice) {
    const browser = await require("playwright-core").firefox.launchPersistentContext(profile, {
        ...view,
        channel: "moz-firefox",
        executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
        firefoxUserPrefs: {
            "media.navigator.permission.disabled": true,
            "media.autoplay.default": 0,
            "media.autoplay.blocking_policy": 0,
        },
    });
    if (voice != null) {
        await browser.addInitScript(hear, (await readFile(voice)).toString("base64"));
    }
    return browser;
}

// Runs in the page.
function hear(wav) {
    // A blank page has no devices.
    if (navigator.mediaDevices === undefined) {
        return;
    }
    navigator.mediaDevices.getUserMedia = async () => {
        const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
        const voice = new Audio(URL.createObjectURL(new Blob([bytes], { type: "audio/wav" })));
        const stream = voice.mozCaptureStream();
        await voice.play();
        return stream;
    };
}
