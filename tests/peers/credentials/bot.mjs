// Requests signed by npm's `web-bot-auth`. `{"op": "key"}` makes a key: `{"private": jwk, "public": jwk}`,
// its `kid` the thumbprint, as the directory draft wants it. `{"op": "sign", "key": jwk, "requests": […]}`
// gives the headers of each of `{"method", "url", "headers", "components"?, "agent"?, "expires"?, "age"?}`.
import { exportJWK, generateKeyPair, calculateJwkThumbprint } from 'jose';
import { REQUEST_COMPONENTS, generateNonce, signatureHeaders } from 'web-bot-auth';
import { signerFromJWK } from 'web-bot-auth/crypto';
import { answer, asked } from './peer.mjs';

async function key() {
  const pair = await generateKeyPair('EdDSA', { extractable: true });
  const publicJwk = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  return { private: { ...(await exportJWK(pair.privateKey)), kid }, public: { ...publicJwk, kid } };
}

async function sign({ method, url, headers = {}, components = REQUEST_COMPONENTS, agent, age = 0 }) {
  const all = { ...headers };
  // The form of the first drafts, which is what the library covers: a string.
  if (agent) all['Signature-Agent'] = JSON.stringify(agent);
  const created = new Date(Date.now() - age * 1000);
  const signed = await signatureHeaders({ method, url, headers: all }, await signerFromJWK(asked.key), {
    created,
    expires: new Date(created.getTime() + 60_000),
    nonce: generateNonce(),
    components,
  });
  return { ...all, ...signed };
}

answer(asked.op === 'key' ? await key() : await Promise.all(asked.requests.map(sign)));
