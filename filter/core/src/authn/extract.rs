//! Where a credential sits in a request, which scheme's it is, and who judges it: one arm per scheme.

use super::exchange::Exchange;
use super::grants::Grants;
use super::identity::Identity;
use super::jws::{Jws, MAX_TOKEN_BYTES};
use super::oidc::{Provider, without_slash};
use super::verdict::{Accepted, Failure, Signed};
use super::{Refusal, did, gateway, hmac, httpsig, oidc, rotagent};
use crate::clock::UnixMillis;
use crate::crypto::{Algorithm, HostVerifier};
use crate::headers::Field;
use crate::keys::cache::JwksCache;

/// What is accepted: each scheme's rules, where it is on.
#[derive(Debug, Default)]
pub struct Schemes {
    /// OIDC issuers; they are the first of the sources, in this order.
    pub providers: Vec<Provider>,
    /// What no subject without a prefix may begin with.
    pub reserved: Vec<Box<str>>,
    /// DID tokens.
    pub did: Option<did::Rules>,
    /// rotagent's requests.
    pub rotagent: Option<rotagent::Rules>,
    /// Shared keys.
    pub hmac: Option<hmac::Rules>,
    /// HTTP message signatures.
    pub httpsig: Option<httpsig::Rules>,
    /// The gateway's own tokens.
    pub gateway: Option<gateway::Rules>,
    /// Tokens that are swapped before they count.
    pub exchanges: Vec<Exchange>,
    /// What the operator grants.
    pub grants: Grants,
}

/// What a bearer token turned out to be.
#[derive(Debug)]
pub enum Judged {
    /// Good for as long as it lasts.
    Accepted(Accepted),
    /// Good for one request, if its body is the right one.
    Signed(Signed),
    /// To be swapped first: with which of the exchanges, and the issuer that it names.
    Exchange(usize, Box<str>),
}

impl Schemes {
    /// Whether rotagent's requests alone are accepted, so that what it says of a missing header is said.
    #[must_use]
    pub fn is_rotagent_alone(&self) -> bool {
        self.rotagent.is_some()
            && self.providers.is_empty()
            && self.did.is_none()
            && self.hmac.is_none()
            && self.httpsig.is_none()
    }

    /// Whether somebody could be verified without any published key.
    #[must_use]
    pub fn has_own_keys(&self) -> bool {
        self.did.as_ref().is_some_and(|rules| !rules.allow.is_empty()) || self.hmac.is_some()
    }

    /// Judges a bearer token, whichever scheme's it is. `caches` are the sources' keys.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn judge_bearer(
        &self,
        token: &str,
        caches: &mut [JwksCache],
        host: &dyn HostVerifier,
        now: UnixMillis,
    ) -> Result<Judged, Failure> {
        if did::is_prefix_form(token) {
            let rules = self.did.as_ref().ok_or(Refusal::DidOff)?;
            return Ok(self.granted(did::authenticate(token, rules, host, now)?));
        }
        let jws = Jws::parse(token)?;
        if let Some(rules) = &self.gateway
            && gateway::is_own(&jws, rules)
        {
            // What the user may do was settled when the token was made; nothing is granted besides.
            return gateway::authenticate(&jws, rules, caches, host, now).map(Judged::Accepted);
        }
        if matches!(jws.algorithm_name.as_str(), "HS256" | "HS384" | "HS512") {
            let rules = self.hmac.as_ref().ok_or(Refusal::AlgorithmSymmetric)?;
            return Ok(self.granted(hmac::authenticate(&jws, rules, now)?));
        }
        let issuer = jws.claims.str("iss").unwrap_or_default();
        if self.providers.iter().any(|provider| *provider.issuer == *without_slash(issuer)) {
            return self.judge_oidc(&jws, caches, host, now);
        }
        if did::names_did(&jws) {
            let rules = self.did.as_ref().ok_or(Refusal::DidOff)?;
            return Ok(self.granted(did::authenticate_jws(&jws, rules, host, now)?));
        }
        if let Some(rules) = &self.rotagent
            && (self.is_rotagent_alone() || rotagent::is_rotagents(&jws, rules, caches, now))
        {
            let mut signed = rotagent::authenticate(&jws, rules, caches, host, now)?;
            signed.identity = self.grants.apply(signed.identity);
            return Ok(Judged::Signed(signed));
        }
        if let Some(at) = self.exchanges.iter().position(|exchange| exchange.takes(issuer))
            && !issuer.is_empty()
        {
            // Until the authorised keys are there, it may be one of rotagent's, which is nobody else's to see.
            if let Some(cache) = self.rotagent.as_ref().and_then(|rules| caches.get_mut(rules.source))
                && !cache.serves(now)
            {
                cache.find(now, Some(issuer), Algorithm::Rs256)?;
                return Err(Failure::Wait);
            }
            // What cannot be good for anybody is not asked about.
            jws.algorithm()?;
            super::claims::dates(&jws.claims, now)?;
            return Ok(Judged::Exchange(at, issuer.into()));
        }
        // OIDC says what is wrong with a token that is nobody's.
        self.judge_oidc(&jws, caches, host, now)
    }

    /// Judges the token that came back from an exchange: it must be of the issuer that was asked for.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn judge_exchanged(
        &self,
        token: &str,
        exchange: &Exchange,
        caches: &mut [JwksCache],
        host: &dyn HostVerifier,
        now: UnixMillis,
    ) -> Result<Accepted, Failure> {
        let jws = Jws::parse(token)?;
        if jws.claims.str("iss").map(without_slash) != Some(&*exchange.to) {
            return Err(Refusal::ExchangeRefused.into());
        }
        let mut accepted = oidc::authenticate_jws(&jws, &self.providers, &self.reserved, caches, host, now)?;
        accepted.identity = self.grants.apply(accepted.identity);
        Ok(accepted)
    }

    /// The caller with what the operator grants it.
    #[must_use]
    pub fn granted_alone(&self, identity: Identity) -> Identity {
        self.grants.apply(identity)
    }

    fn judge_oidc(
        &self,
        jws: &Jws<'_>,
        caches: &mut [JwksCache],
        host: &dyn HostVerifier,
        now: UnixMillis,
    ) -> Result<Judged, Failure> {
        let accepted = oidc::authenticate_jws(jws, &self.providers, &self.reserved, caches, host, now)?;
        Ok(self.granted(accepted))
    }

    fn granted(&self, mut accepted: Accepted) -> Judged {
        accepted.identity = self.grants.apply(accepted.identity);
        Judged::Accepted(accepted)
    }
}

/// The user of a bearer token, for whom the signer of the request acts.
///
/// # Errors
/// The token names another agent.
pub fn acting(user: Identity, signer: &Identity) -> Result<Identity, Refusal> {
    match user.agent() {
        Some(agent) if agent != signer.user() => Err(Refusal::AgentDiffers),
        Some(_) => Ok(user),
        // Whoever signs for himself acts for nobody.
        None if user.user() == signer.user() => Ok(user),
        None => Ok(user.acting(signer.user().into())),
    }
}

/// What would be the token of a header in its usual form, unchecked: good for looking it up among tokens
/// that were checked, and for nothing else.
#[must_use]
pub fn usual_bearer(authorization: Field<'_>) -> Option<&[u8]> {
    match authorization {
        Field::One(value) => value.strip_prefix(b"Bearer "),
        Field::Absent | Field::Many => None,
    }
}

/// The bearer token of an `Authorization` header (RFC 6750 section 2.1, scheme in any case: RFC 9110
/// section 11.1).
///
/// # Errors
/// No header, more than one, another scheme, no token, one that is too long or has bytes that no token has.
pub fn bearer(authorization: Field<'_>) -> Result<&str, Refusal> {
    let value = match authorization {
        Field::Absent => return Err(Refusal::CredentialMissing),
        Field::Many => return Err(Refusal::CredentialDoubled),
        Field::One(value) => value.trim_ascii(),
    };
    if value.is_empty() {
        return Err(Refusal::CredentialEmpty);
    }
    let (scheme, token) = match value.iter().position(|byte| *byte == b' ') {
        Some(space) => value.split_at_checked(space).ok_or(Refusal::CredentialMalformed)?,
        None => (value, &[][..]),
    };
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Refusal::CredentialMalformed);
    }
    let token = token.trim_ascii_start();
    if token.is_empty() {
        return Err(Refusal::CredentialEmpty);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::TokenTooLong);
    }
    // A comma would be a second header that something folded into this one.
    if token.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b',') {
        return Err(Refusal::CredentialMalformed);
    }
    core::str::from_utf8(token).map_err(|_| Refusal::CredentialMalformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_token_alone_is_a_credential() {
        for (value, expected) in [
            (&b"Bearer abc"[..], Ok("abc")),
            (b"bearer abc", Ok("abc")),
            (b"BEARER   abc ", Ok("abc")),
            (b"", Err(Refusal::CredentialEmpty)),
            (b" ", Err(Refusal::CredentialEmpty)),
            (b"Bearer", Err(Refusal::CredentialEmpty)),
            (b"Bearer ", Err(Refusal::CredentialEmpty)),
            (b"Bearerabc", Err(Refusal::CredentialMalformed)),
            (b"Basic YTpi", Err(Refusal::CredentialMalformed)),
            (b"abc", Err(Refusal::CredentialMalformed)),
            (b"Bearer a b", Err(Refusal::CredentialMalformed)),
            (b"Bearer a,Bearer b", Err(Refusal::CredentialMalformed)),
            (b"Bearer a,b", Err(Refusal::CredentialMalformed)),
            (b"Bearer \xff\xfe", Err(Refusal::CredentialMalformed)),
            (b"Bearer a\tb", Err(Refusal::CredentialMalformed)),
        ] {
            assert_eq!(bearer(Field::One(value)), expected, "{}", value.escape_ascii());
        }
        assert_eq!(bearer(Field::Absent), Err(Refusal::CredentialMissing));
        assert_eq!(bearer(Field::Many), Err(Refusal::CredentialDoubled));
        let long = [&b"Bearer "[..], &vec![b'a'; MAX_TOKEN_BYTES + 1]].concat();
        assert_eq!(bearer(Field::One(&long)), Err(Refusal::TokenTooLong));
        assert!(bearer(Field::One(long.split_last().unwrap().1)).is_ok());
    }
}
