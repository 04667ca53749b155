// An identity provider for tests: the certified `oidc-provider`, with its own pages for signing in and for consent. Any login
// with any password is a user: `ada` is ada@example.com; the mail of a login that begins with `unverified` is not verified.
//
// Options: --port PORT, --redirect ADDRESS (several), --signed-out ADDRESS, --logout-notice ADDRESS (back-channel logout),
// --claims-in-id-token. Clients: `rs256`, `ps256`, `es256`, `eddsa`, named after the algorithm of their ID tokens; the first
// sends its secret in a header, the second in the form, the others have none.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import Provider from 'oidc-provider';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    redirect: { type: 'string', multiple: true, default: [] },
    'signed-out': { type: 'string', multiple: true, default: [] },
    'logout-notice': { type: 'string' },
    'claims-in-id-token': { type: 'boolean', default: false },
  },
});

// The output has one line, the issuer; a reader may close the pipe then.
console.info = console.log = console.warn = console.error;

function key(id, type, parameters) {
  const { privateKey } = generateKeyPairSync(type, parameters);
  return { ...privateKey.export({ format: 'jwk' }), kid: id, use: 'sig' };
}

const secrets = { rs256: 'client_secret_basic', ps256: 'client_secret_post' };
const clients = ['RS256', 'PS256', 'ES256', 'EdDSA'].map((algorithm) => {
  const id = algorithm.toLowerCase();
  const method = secrets[id] ?? 'none';
  return {
    client_id: id,
    ...(method === 'none' ? {} : { client_secret: `secret of ${id}: +/%&=` }),
    token_endpoint_auth_method: method,
    id_token_signed_response_alg: algorithm,
    redirect_uris: options.redirect,
    post_logout_redirect_uris: options['signed-out'],
    ...(options['logout-notice'] && {
      backchannel_logout_uri: options['logout-notice'],
      backchannel_logout_session_required: true,
    }),
  };
});

function account(context, id) {
  return {
    accountId: id,
    claims: () => ({
      sub: id,
      email: id.includes('@') ? id : `${id}@example.com`,
      email_verified: !id.startsWith('unverified'),
      name: `${id[0].toUpperCase()}${id.slice(1)} of the Provider`,
      groups: ['engineers', 'operators'],
    }),
  };
}

const server = createServer();
server.listen(Number(options.port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    findAccount: account,
    jwks: {
      keys: [
        key('rsa', 'rsa', { modulusLength: 2048 }),
        key('p256', 'ec', { namedCurve: 'P-256' }),
        key('ed25519', 'ed25519'),
      ],
    },
    claims: { email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: !options['claims-in-id-token'],
    cookies: { keys: ['a key for cookies of this provider'] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    features: {
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    // By default the provider sends no notices to this machine.
    fetch: (address, { dispatcher, ...rest }) => fetch(address, rest),
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  process.stdout.write(`${issuer}\n`);
});
