// A person at a browser: reads steps from standard input, a line of JSON each, and answers each with a line: {"ok": value}
// or {"error": text}. Selectors see through elements. It ends when its standard input does.
//
// node drive.mjs DESK   (JSON: what launch.mjs asks for)

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { launch, require } from "./launch.mjs";

const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
const { browser, stop } = await launch(JSON.parse(process.argv[2]));
// What the page could not do, and what its policy forbade.
const faults = [];
const watch = (page) => {
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => {
        if (/Content Security Policy/.test(message.text())) {
            faults.push(message.text());
        }
    });
};
let page = await browser.newPage();
watch(page);

const STEP_MS = 45_000;
const steps = {
    // Runs in each page from now on, before its own scripts.
    begin: async ({ script }) => void (await browser.addInitScript(script)),
    goto: async ({ url }) => void (await page.goto(url)),
    reload: async () => void (await page.reload()),
    tab: async ({ url }) => {
        page = await browser.newPage();
        watch(page);
        await page.goto(url);
    },
    first: async () => void (page = browser.pages().find((one) => one.url() !== "about:blank")),
    last: async () => void (page = browser.pages().at(-1)),
    // Goes back to the tab before.
    close: async () => {
        await page.close();
        page = browser.pages().at(-1);
    },
    click: async ({ at }) => void (await page.locator(at).first().click({ timeout: STEP_MS })),
    check: async ({ at }) => {
        for (const one of await page.locator(at).all()) {
            await one.check({ timeout: STEP_MS });
        }
    },
    fill: async ({ at, text }) => void (await page.locator(at).first().fill(text, { timeout: STEP_MS })),
    choose: async ({ at, value }) => void (await page.locator(at).first().selectOption(value, { timeout: STEP_MS })),
    press: async ({ key }) => void (await page.keyboard.press(key)),
    wait: async ({ at, within }) => void (await page.locator(at).first().waitFor({ timeout: within ?? STEP_MS })),
    gone: async ({ at }) => void (await page.locator(at).first().waitFor({ state: "detached", timeout: STEP_MS })),
    texts: async ({ at }) => page.locator(at).allInnerTexts(),
    attribute: async ({ at, name }) => page.locator(at).first().getAttribute(name, { timeout: STEP_MS }),
    read: async ({ at, script }) => page.locator(at).first().evaluate(new Function("element", script), { timeout: STEP_MS }),
    size: async ({ width, height }) => void (await page.setViewportSize({ width, height })),
    scheme: async ({ scheme }) => void (await page.emulateMedia({ colorScheme: scheme })),
    shot: async ({ path, whole }) => void (await page.screenshot({ path, fullPage: whole ?? false })),
    // Serious and critical findings of axe, in the light and in the dark.
    axe: async () => {
        const isDark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
        const found = [];
        for (const scheme of isDark ? ["light", "dark"] : ["dark", "light"]) {
            await page.emulateMedia({ colorScheme: scheme });
            await page.evaluate(axe);
            const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
            for (const { id, impact, nodes } of violations) {
                if (impact === "serious" || impact === "critical") {
                    found.push(`${scheme}: ${id}: ${nodes.map(({ html }) => html).join(" ")}`);
                }
            }
        }
        return found;
    },
    faults: async () => faults,
};

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
for await (const line of createInterface({ input: process.stdin })) {
    const { step, ...rest } = JSON.parse(line);
    try {
        say({ ok: (await steps[step](rest)) ?? null });
    } catch (error) {
        const shown = await page.locator("h1, h2, p, label, button").allInnerTexts().catch(() => []);
        say({ error: `${error}`, url: page.url(), shown });
    }
}
await stop();
