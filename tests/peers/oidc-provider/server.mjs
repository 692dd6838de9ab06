// A certified OpenID provider with one signing key, made at start: `node server.mjs PORT KID AUDIENCE`.
//
// It knows one client, `agent` with the secret `agent-secret`, and gives it JWT access tokens for AUDIENCE
// by the client-credentials grant. To rotate the key, end it and start it again with another KID.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const [port, kid, audience] = process.argv.slice(2);
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
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      getResourceServerInfo: () => ({
        audience,
        scope: '',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
