//! The gateway that most tests use: two issuers, an engine that records, routes of the operator's own.

use crate::cases::{PREFIX, World};
use crate::gateway::{Builder, Gateway};
use crate::issuer::Issuer;
use crate::mint::{Key, decode};
use crate::upstream::{Seen, Upstream};

/// A gateway between its issuers and its engine.
pub struct Fixture {
    /// The gateway.
    pub gateway: Gateway,
    /// The engine.
    pub upstream: Upstream,
    /// Whom the first issuer is.
    pub first: Issuer,
    /// Whom the second issuer is.
    pub second: Issuer,
    /// Their keys.
    pub world: World,
}

impl Fixture {
    /// Starts one. Besides the built-in routes it has `/public/**`, which needs no token, and `/forward/**`,
    /// which leaves the caller's credential on.
    #[must_use]
    pub fn start(name: &str, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self::of(name, ["https://bot.example", "https://crawler.example"], |_, builder| change(builder))
    }

    /// Starts one that accepts every kind of credential of everybody in its world.
    ///
    /// # Panics
    /// When the gateway's own keys cannot be read.
    #[must_use]
    pub fn of_everybody(name: &str) -> Self {
        let directories = [Issuer::start(Vec::new()), Issuer::start(Vec::new())];
        for directory in &directories {
            directory.move_keys("/.well-known/http-message-signatures-directory");
        }
        let addresses = directories.each_ref().map(Issuer::url);
        let mut fixture = Self::of(name, addresses.each_ref().map(String::as_str), |world, builder| {
            for (directory, signer) in directories.iter().zip(&world.signers) {
                directory.answer(crate::issuer::Answer::Keys(signer.jwks()));
            }
            let listed = world.signers.each_ref().map(|signer| format!("{}={}", signer.name, signer.agent));
            let builder = builder
                .set("PUBLIC_URL", world.public_url())
                .set("DID_ALLOW", world.did_allow().join(","))
                .set("HMAC_KEYS", world.hmac_keys().join(","))
                .set("HTTPSIG_DIRECTORIES", listed.join(","))
                .set("AUTHORIZED_KEYS_DIR", "authorized_keys")
                // Without an agent there are no tokens of the gateway's own.
                .set("A2A_TARGETS", format!("planner={}", world.signers[0].agent))
                .set("A2A_AGENTS", "planner=key:planner");
            world.orchestrators.iter().fold(builder, |builder, key| {
                builder.file(&format!("authorized_keys/{}.pem", key.id), &key.pem())
            })
        });
        fixture.world.gateway = fixture.own_key("gateway-keys.json");
        fixture.world.assertions = fixture.own_key("assertion-keys.json");
        fixture
    }

    /// A key of the gateway's own, which no client has; to try what becomes of tokens only it can make.
    fn own_key(&self, file: &str) -> Key {
        let path = self.gateway.state().join("secrets").join(file);
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let ring: serde_json::Value = serde_json::from_slice(&text).expect("a ring of keys");
        Key::of_seed(&decode(ring["current"]["seed"].as_str().expect("a seed")))
    }

    fn of(name: &str, agents: [&str; 2], change: impl FnOnce(&World, Builder) -> Builder) -> Self {
        let (first, second) = (Issuer::start(Vec::new()), Issuer::start(Vec::new()));
        let world = World::new(&first.url(), &second.url(), agents);
        first.answer(crate::issuer::Answer::Keys(world.first_keys()));
        second.answer(crate::issuer::Answer::Keys(world.second_keys()));
        let upstream = Upstream::start();
        let document = format!(
            "issuers:\n  - issuer: {}\n    audiences: [{}]\n    user_prefix: \"{PREFIX}\"\n\
             routes:\n  - path: /public/**\n    access: public\n  - path: /forward/**\n    forward_credential: true\n",
            second.url(),
            world.audience(),
        );
        let builder = Builder::new(name)
            .set("OIDC_ISSUER", first.url())
            .set("OIDC_AUD", world.audience())
            .set("ENGINE_URL", upstream.url())
            .set("ENGINE_REWRITE_CHAT", "off")
            .set("ENVOY_CONCURRENCY", 2)
            .document(&document);
        let builder = change(&world, builder);
        Self { gateway: builder.start(), upstream, first, second, world }
    }

    /// A good token of the first issuer's `alice`.
    #[must_use]
    pub fn alice(&self) -> String {
        self.world.first.token("alice")
    }

    /// What reached the engine, of the one request with `mark` in its target.
    #[must_use]
    pub fn arrived(&self, mark: &str) -> Seen {
        self.upstream.only(mark)
    }

    /// Says that nothing with `mark` in its target has reached the engine.
    ///
    /// # Panics
    /// When something has.
    pub fn nothing_arrived(&self, mark: &str) {
        let seen = self.upstream.seen(mark);
        assert!(seen.is_empty(), "reached the engine: {seen:#?}");
    }
}
