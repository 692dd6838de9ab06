// An issuer's keys and tokens by npm's `jose`, one of each algorithm:
// `{"algorithms", "claims", "secret"?, "kid"?}` in, `{"keys": [jwk], "tokens": {alg: token}}` out.
// HS algorithms sign with `secret` as the service `kid`.
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { answer, asked } from './peer.mjs';

const keys = [];
const tokens = {};
for (const alg of asked.algorithms) {
  if (alg.startsWith('HS')) {
    tokens[alg] = await new SignJWT(asked.claims)
      .setProtectedHeader({ alg, kid: asked.kid })
      .sign(new TextEncoder().encode(asked.secret));
    continue;
  }
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  keys.push({ ...jwk, kid, alg, use: 'sig' });
  tokens[alg] = await new SignJWT(asked.claims).setProtectedHeader({ alg, kid }).sign(privateKey);
}
answer({ keys, tokens });
