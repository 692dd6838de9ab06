// What the scripts here share: one JSON document in on standard input, one out on standard output.

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
export const asked = JSON.parse(Buffer.concat(chunks).toString('utf8'));

export const answer = (value) => process.stdout.write(JSON.stringify(value));

export const base64url = (bytes) => Buffer.from(bytes).toString('base64url');
