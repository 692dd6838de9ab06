// How fast js-tiktoken counts the texts of a file, a list of [name, text]: writes lines as count_speed does.
//
//     count_speed texts texts.json && node count_speed.mjs texts.json
import { readFileSync } from "node:fs";
import { Tiktoken } from "js-tiktoken/lite";
import cl100k_base from "js-tiktoken/ranks/cl100k_base";
import o200k_base from "js-tiktoken/ranks/o200k_base";

const texts = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const [encoding, ranks] of Object.entries({ cl100k_base, o200k_base })) {
  const tiktoken = new Tiktoken(ranks);
  for (const [name, text] of texts) {
    const times = [];
    let tokens = 0;
    // V8 compiles what is hot in the first one.
    for (let round = 0; round < 2; round += 1) {
      const start = performance.now();
      tokens = tiktoken.encode(text, [], []).length;
      times.push((performance.now() - start) / 1000);
    }
    const speed = Buffer.byteLength(text) / 1e6 / Math.min(...times);
    console.log(`${encoding.padEnd(12)} ${name.padEnd(14)} ${speed.toFixed(2)} MB/s whole, ${tokens} tokens`);
  }
}
