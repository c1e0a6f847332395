// node wasm.mjs MODULE VECTORS: prints what hosted.c prints.
import { readFileSync } from "node:fs";

const [module, vectors] = process.argv.slice(2).map((path) => readFileSync(path));
const { instance } = await WebAssembly.instantiate(module, {});
const { memory, run, vectors: at } = instance.exports;
new Uint8Array(memory.buffer).set(vectors, at());
console.log(new Uint32Array(memory.buffer, run(), 5).join(" "));
