//! The gateway that most tests use: two issuers, an engine that records, routes of the operator's own.

use crate::cases::{PREFIX, World};
use crate::gateway::{Builder, Gateway};
use crate::issuer::Issuer;
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
        let (first, second) = (Issuer::start(Vec::new()), Issuer::start(Vec::new()));
        let world = World::new(&first.url(), &second.url());
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
        Self { gateway: change(builder).start(), upstream, first, second, world }
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
