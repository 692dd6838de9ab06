// A certified OpenID provider with one signing key, made at start:
// `node server.mjs PORT KID AUDIENCE [SCOPES] [CLAIMS]`.
//
// It knows one client, `agent` with the secret `agent-secret`, and gives it JWT access tokens for AUDIENCE
// by the client-credentials grant, with those of SCOPES (a list with blanks) that it asks for and with the
// further CLAIMS (a JSON object). To rotate the key, end it and start it again with another KID.
//
// Whoever registers (RFC 7591) may use the authorization-code flow; its login page takes any name.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const [port, kid, audience, scope = '', claims = '{}'] = process.argv.slice(2);
const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const jwk = { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [jwk] },
  clients: [
    {
      client_id: 'agent',
      client_secret: 'agent-secret',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      ...(scope && { scope }),
    },
  ],
  scopes: ['openid', 'offline_access', ...scope.split(' ').filter(Boolean)],
  extraTokenClaims: () => JSON.parse(claims),
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      // A client that named the resource once gets its tokens for it.
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        audience,
        scope,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
