import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const here = import.meta.dirname;

/** What the bundle is made of, in the order of their names. */
function sources(): string[] {
    const below = readdirSync(join(here, "src"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(here.length + 1));
    return ["package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", ...below].sort();
}

/** Writes what the sources are into the first line, which `cargo test` holds against them. */
function named(): Plugin {
    return {
        name: "sources",
        generateBundle(_, bundle) {
            const hash = createHash("sha256");
            for (const path of sources()) {
                const content = readFileSync(join(here, path));
                hash.update(`${path} ${content.length}\n`).update(content);
            }
            const line = `/*! hansard-web ${hash.digest("hex")} */\n`;
            for (const file of Object.values(bundle)) {
                if (file.type === "chunk") {
                    file.code = line + file.code;
                }
            }
        },
    };
}

export default defineConfig({
    base: "./",
    plugins: [named()],
    build: {
        target: "es2022",
        modulePreload: false,
        rollupOptions: {
            input: { pages: join(here, "src/pages.ts") },
            output: { entryFileNames: "[name].js", format: "es" },
        },
    },
});
