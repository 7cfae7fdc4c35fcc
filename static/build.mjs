// Bundles src/ into dist/: one script and one stylesheet per page, names that hold their content's hash (so they may be cached for
// ever), and dist/manifest.json, which maps plain names to hashed ones: {"lab.js": "lab-ABC12345.js", "terminal.js": …}.
// And src/screen/ into helper/screen.mjs, which the server runs: no browser gets that folder.
//   node build.mjs [--watch] [FOLDER]    dist and helper lie in FOLDER (beside this file); --watch builds again at each change
import { mkdirSync, readdirSync, renameSync, rmSync, watch, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const words = process.argv.slice(2).filter((word) => word !== "--watch");
const out = words.length ? resolve(words[0]) : root;
const dist = join(out, "dist");
const helper = join(out, "helper");
const SETTLE_MS = 100;
const watching = process.argv.includes("--watch");
/** While somebody edits, a second less of waiting is worth more than a tenth of the bytes. */
const QUALITY = watching ? 4 : 11;

async function pages() {
  const result = await build({
    absWorkingDir: root,
    entryPoints: ["src/pages/signin.tsx", "src/pages/password.tsx", "src/pages/lessons.tsx", "src/pages/course.tsx", "src/pages/watch.tsx", "src/pages/help.tsx", "src/pages/lab.tsx", "src/css/error.css", "src/icon.svg"],
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
  return result.outputFiles;
}

async function screens() {
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
}

/** Once here instead of at every request; the server and nginx take the one that a browser understands. */
function compress(path, contents) {
  const brotli = brotliCompressSync(contents, { params: { [constants.BROTLI_PARAM_QUALITY]: QUALITY } });
  writeFileSync(`${path}.br`, brotli);
  writeFileSync(`${path}.gz`, gzipSync(contents, { level: 9 }));
  return brotli.length;
}

function write(files) {
  const sizes = new Map();
  for (const file of files) {
    const name = file.path.slice(dist.length + 1);
    writeFileSync(file.path, file.contents);
    const packed = /\.(js|css|svg)$/.test(name) ? compress(file.path, file.contents) : file.contents.length;
    sizes.set(name, [file.contents.length, packed]);
  }
  const manifest = {};
  for (const name of [...sizes.keys()].sort()) {
    const match = /^(.+)-[A-Z0-9]{8}(\.[a-z0-9]+)$/.exec(name);
    // Chunks that several pages share are found by the scripts that import them.
    if (match && match[1] !== "chunk") manifest[match[1] + match[2]] = name;
  }
  // Last and at once: who reads it finds all that it names.
  const path = join(dist, "manifest.json");
  writeFileSync(`${path}.new`, JSON.stringify(manifest, null, 2) + "\n");
  renameSync(`${path}.new`, path);
  return sizes;
}

/** What an earlier build left. */
function sweep(sizes) {
  const kept = new Set(["manifest.json", ...[...sizes.keys()].flatMap((name) => [name, `${name}.br`, `${name}.gz`])]);
  for (const name of readdirSync(dist)) if (!kept.has(name)) rmSync(join(dist, name), { recursive: true });
}

async function bundle() {
  const files = await pages();
  await screens();
  mkdirSync(dist, { recursive: true });
  const sizes = write(files);
  sweep(sizes);
  const kib = (bytes) => (bytes / 1024).toFixed(1).padStart(8);
  console.log("   plain  packed  KiB");
  for (const [name, [size, packed]] of [...sizes].filter(([name]) => !/\.(map|txt)$/.test(name))) {
    console.log(`${kib(size)}${kib(packed)}  ${name}`);
  }
}

async function again() {
  try {
    await bundle();
  } catch (error) {
    // esbuild has said where; the next change may mend it.
    console.error(String(error).split("\n")[0]);
  }
}

if (!watching) {
  await bundle();
} else {
  let building = again();
  let timer;
  watch(join(root, "src"), { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(() => (building = building.then(again)), SETTLE_MS);
  });
}
