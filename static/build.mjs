// Bundles src/ into dist/: one script and one stylesheet per page, names that hold their content's hash (so they may be cached for
// ever), and dist/manifest.json, which maps plain names to hashed ones: {"lab.js": "lab-ABC12345.js", "terminal.js": …}.
// And src/screen/ into helper/screen.mjs, which the server runs: no browser gets that folder.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");

const result = await build({
  absWorkingDir: root,
  entryPoints: ["src/pages/signin.tsx", "src/pages/lessons.tsx", "src/pages/course.tsx", "src/pages/watch.tsx", "src/pages/help.tsx", "src/pages/lab.tsx", "src/css/error.css", "src/icon.svg"],
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
  outbase: "src",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  metafile: true,
  write: false,
  logLevel: "warning",
});

const helper = join(root, "helper");
rmSync(helper, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: ["src/screen/helper.ts"],
  outfile: join(helper, "screen.mjs"),
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  legalComments: "inline",
  logLevel: "warning",
});

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const sizes = new Map();
for (const file of result.outputFiles) {
  const name = file.path.slice(dist.length + 1);
  writeFileSync(file.path, file.contents);
  const packed = /\.(js|css|svg)$/.test(name) ? compress(file.path, file.contents) : file.contents.length;
  sizes.set(name, [file.contents.length, packed]);
}

/** Once here instead of at every request; the server and nginx take the one that a browser understands. */
function compress(path, contents) {
  const brotli = brotliCompressSync(contents, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  writeFileSync(`${path}.br`, brotli);
  writeFileSync(`${path}.gz`, gzipSync(contents, { level: 9 }));
  return brotli.length;
}

const manifest = {};
for (const name of readdirSync(dist).sort()) {
  const match = /^(.+)-[A-Z0-9]{8}(\.[a-z0-9]+)$/.exec(name);
  // Chunks that several pages share are found by the scripts that import them.
  if (match && match[1] !== "chunk") manifest[match[1] + match[2]] = name;
}
writeFileSync(join(dist, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");

const kib = (bytes) => (bytes / 1024).toFixed(1).padStart(8);
console.log("   plain  packed  KiB");
for (const [name, [size, packed]] of [...sizes].filter(([name]) => !/\.(map|txt)$/.test(name))) {
  console.log(`${kib(size)}${kib(packed)}  ${name}`);
}
