// Tokens of DIDs, made by the libraries that wallets and agents use: `[{"kind", "claims", "header"?}]` in,
// `[{"did", "token"}]` out. Claims are taken as they are, but that `iss` becomes the DID unless they name one.
import { randomBytes } from 'node:crypto';
import { createJWT, ES256KSigner, ES256Signer, EdDSASigner, bytesToMultibase } from 'did-jwt';
import { Wallet, SigningKey } from 'ethers';
import { Ed25519Provider, encodeDID } from 'key-did-provider-ed25519';
import { ed25519 } from '@noble/curves/ed25519';
import { p256 } from '@noble/curves/p256';
import { base58 } from '@scure/base';
import { answer, asked, base64url } from './peer.mjs';

const SOLANA_MAINNET = '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp';

const signingInput = (header, claims) =>
  [header, claims].map((part) => base64url(JSON.stringify(part))).join('.');

const makers = {
  // key-did-provider-ed25519 as a DID provider (EIP-2844): it makes the header, `kid` in it, and its payload
  // is whatever one wants signed.
  async 'key-did-provider'(claims) {
    const seed = randomBytes(32);
    const provider = new Ed25519Provider(new Uint8Array(seed));
    const did = encodeDID(ed25519.getPublicKey(seed));
    const answered = await provider.send({
      jsonrpc: '2.0',
      id: 1,
      method: 'did_createJWS',
      params: { payload: { iss: did, ...claims }, did },
    });
    if (answered.error) throw new Error(answered.error.message);
    const { payload, signatures } = answered.result.jws;
    return { did, token: `${signatures[0].protected}.${payload}.${signatures[0].signature}` };
  },

  async ed25519(claims, header) {
    const seed = randomBytes(32);
    const did = encodeDID(ed25519.getPublicKey(seed));
    return { did, token: await jwt(did, EdDSASigner(new Uint8Array(seed)), 'EdDSA', claims, header) };
  },

  async p256(claims, header) {
    const key = p256.utils.randomPrivateKey();
    const did = `did:key:${bytesToMultibase(p256.getPublicKey(key, true), 'base58btc', 'p256-pub')}`;
    return { did, token: await jwt(did, ES256Signer(key), 'ES256', claims, header) };
  },

  async secp256k1(claims, header) {
    const key = new SigningKey(`0x${randomBytes(32).toString('hex')}`);
    const point = Buffer.from(key.compressedPublicKey.slice(2), 'hex');
    const did = `did:key:${bytesToMultibase(point, 'base58btc', 'secp256k1-pub')}`;
    const signer = ES256KSigner(Buffer.from(key.privateKey.slice(2), 'hex'));
    return { did, token: await jwt(did, signer, 'ES256K', claims, header) };
  },

  // did-jwt's signer with a recoverable signature, for an account of Ethereum's.
  async 'es256k-r'(claims, header) {
    const wallet = Wallet.createRandom();
    const did = `did:pkh:eip155:1:${wallet.address}`;
    const signer = ES256KSigner(Buffer.from(wallet.privateKey.slice(2), 'hex'), true);
    return { did, token: await jwt(did, signer, 'ES256K-R', claims, header) };
  },

  // What a wallet in a browser can do: personal_sign over the signing input.
  async eip191(claims, header) {
    const wallet = Wallet.createRandom();
    const did = `did:pkh:eip155:1:${wallet.address}`;
    const input = signingInput({ typ: 'JWT', alg: 'EIP191', ...header }, { iss: did, ...claims });
    const signature = await wallet.signMessage(input);
    return { did, token: `${input}.${base64url(Buffer.from(signature.slice(2), 'hex'))}` };
  },

  async solana(claims, header) {
    const seed = randomBytes(32);
    const did = `did:pkh:solana:${SOLANA_MAINNET}:${base58.encode(ed25519.getPublicKey(seed))}`;
    return { did, token: await jwt(did, EdDSASigner(new Uint8Array(seed)), 'EdDSA', claims, header) };
  },
};

function jwt(did, signer, alg, claims, header) {
  // did-jwt sets `iat` itself, and `exp` as it is given.
  return createJWT({ ...claims }, { issuer: claims.iss ?? did, signer, alg }, { ...header, alg });
}

const made = [];
for (const { kind, claims, header } of asked) made.push(await makers[kind](claims, header ?? {}));
answer(made);
