// Bundles src/ into dist/: one script and one stylesheet per page, names that hold their content's hash (so they may be cached for
// ever), and dist/manifest.json, which maps plain names to hashed ones: {"lab.js": "lab-ABC12345.js", "terminal.js": …}.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");

const result = await build({
  absWorkingDir: root,
  entryPoints: ["src/signin.tsx", "src/lessons.tsx", "src/lab.tsx", "src/icon.svg"],
  outdir: dist,
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  minify: true,
  sourcemap: "linked",
  sourcesContent: false,
  legalComments: "linked",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".woff2": "file", ".svg": "copy" },
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  metafile: true,
  write: false,
  logLevel: "warning",
});

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const sizes = new Map();
for (const file of result.outputFiles) {
  const name = file.path.slice(dist.length + 1);
  writeFileSync(file.path, file.contents);
  sizes.set(name, file.contents.length);
}

const manifest = {};
for (const name of readdirSync(dist).sort()) {
  const match = /^(.+)-[A-Z0-9]{8}(\.[a-z0-9]+)$/.exec(name);
  // Chunks that several pages share are found by the scripts that import them.
  if (match && match[1] !== "chunk") manifest[match[1] + match[2]] = name;
}
writeFileSync(join(dist, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");

for (const [name, size] of [...sizes].filter(([name]) => !/\.(map|txt)$/.test(name))) {
  console.log(`${(size / 1024).toFixed(1).padStart(8)} KiB  ${name}`);
}
