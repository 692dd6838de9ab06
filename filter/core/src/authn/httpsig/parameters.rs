//! The parameters of a signature (RFC 9421 section 2.3): when it was made, how long it holds, whose it is.

use super::message::string;
use super::structured;
use crate::authn::Refusal;
use crate::authn::claims::LEEWAY;
use crate::clock::UnixMillis;
use sfv::BareItem;

/// The longest that a signature may be valid, in seconds: a day, which is what Web Bot Auth allows.
pub(super) const MAX_LIFETIME: u64 = 24 * 60 * 60;
/// The longest nonce, in bytes.
const MAX_NONCE_BYTES: usize = 256;

/// What a signature says about itself; signed with everything else.
#[derive(Debug)]
pub(super) struct Parameters<'a> {
    /// Seconds since 1970 until which it is valid, without leeway.
    pub(super) valid_until: u64,
    /// What the signer uses once.
    pub(super) nonce: Option<&'a str>,
    /// The key's name, or its thumbprint.
    pub(super) key_id: &'a str,
    /// The algorithm's name.
    pub(super) algorithm: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// Reads and judges them. `max_age`: how many seconds a signature is valid that says no end.
    ///
    /// # Errors
    /// One that must be there is not, is of another type, or its time is not now.
    pub(super) fn read(
        parameters: &'a structured::Parameters,
        max_age: u64,
        now: UnixMillis,
    ) -> Result<Self, Refusal> {
        let seconds = now.seconds();
        let created = date(parameters, "created")?.ok_or(Refusal::SignatureCreated)?;
        if created > seconds.saturating_add(LEEWAY) {
            return Err(Refusal::SignatureCreated);
        }
        let valid_until = match date(parameters, "expires")? {
            // Who signs knows how long it should hold; who verifies, how long at most.
            Some(expires) if expires > created.saturating_add(MAX_LIFETIME) => {
                return Err(Refusal::LifetimeTooLong);
            }
            Some(expires) if expires < created => return Err(Refusal::SignatureExpired),
            Some(expires) => expires.min(created.saturating_add(max_age)),
            None => created.saturating_add(max_age),
        };
        if seconds >= valid_until.saturating_add(LEEWAY) {
            return Err(Refusal::SignatureExpired);
        }
        let nonce = text(parameters, "nonce", Refusal::SignatureNonce)?;
        if nonce.is_some_and(|nonce| nonce.is_empty() || nonce.len() > MAX_NONCE_BYTES) {
            return Err(Refusal::SignatureNonce);
        }
        let key_id = text(parameters, "keyid", Refusal::SignatureKeyMissing)?
            .filter(|key_id| !key_id.is_empty())
            .ok_or(Refusal::SignatureKeyMissing)?;
        let algorithm = text(parameters, "alg", Refusal::SignatureAlgorithm)?;
        // `tag` says what the signature is for (`web-bot-auth`). Nothing here depends on it: what Web Bot
        // Auth asks of its signatures is asked of all.
        text(parameters, "tag", Refusal::SignatureMalformed)?;
        Ok(Self { valid_until, nonce, key_id, algorithm })
    }
}

/// A parameter that is seconds since 1970, if it is there. A signature is never older than that.
fn date(parameters: &structured::Parameters, name: &str) -> Result<Option<u64>, Refusal> {
    match parameters.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => match u64::try_from(i64::from(*seconds)) {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(Refusal::SignatureMalformed),
        },
        Some(_) => Err(Refusal::SignatureMalformed),
    }
}

/// A parameter that is a string, if it is there.
fn text<'a>(
    parameters: &'a structured::Parameters,
    name: &str,
    otherwise: Refusal,
) -> Result<Option<&'a str>, Refusal> {
    match parameters.get(name) {
        None => Ok(None),
        Some(value) => string(value).map(Some).ok_or(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::httpsig::structured::Members;

    #[test]
    fn a_signature_holds_from_its_creation_to_its_end_and_not_a_day_longer() {
        const NOW: u64 = 1_700_000_000;
        for (parameters, expected) in [
            ("created=1700000000", Ok(NOW + 300)),
            ("created=1700000060", Ok(NOW + 360)),
            ("created=1700000061", Err(Refusal::SignatureCreated)),
            ("created=1699999700", Ok(NOW)),
            ("created=1699999641", Ok(NOW - 59)),
            ("created=1699999640", Err(Refusal::SignatureExpired)),
            ("created=1699999900;expires=1700000100", Ok(NOW + 100)),
            // However long it says that it holds, it is not older than what the gateway wants.
            ("created=1699999640;expires=1700000100", Err(Refusal::SignatureExpired)),
            ("created=1700000000;expires=1700086400", Ok(NOW + 300)),
            ("created=1700000000;expires=1700086401", Err(Refusal::LifetimeTooLong)),
            ("created=1700000000;expires=1699999999", Err(Refusal::SignatureExpired)),
            ("created=1699999900;expires=1699999941", Ok(NOW - 59)),
            ("created=1699999900;expires=1699999940", Err(Refusal::SignatureExpired)),
            ("expires=1700000100", Err(Refusal::SignatureCreated)),
            ("created=-1", Err(Refusal::SignatureMalformed)),
            ("created=1700000000.0", Err(Refusal::SignatureMalformed)),
            ("created=\"1700000000\"", Err(Refusal::SignatureMalformed)),
            ("created=@1700000000", Err(Refusal::SignatureMalformed)),
            ("created", Err(Refusal::SignatureMalformed)),
            ("created=1700000000;expires=?1", Err(Refusal::SignatureMalformed)),
            ("created=1700000000;nonce=\"\"", Err(Refusal::SignatureNonce)),
            ("created=1700000000;nonce=1", Err(Refusal::SignatureNonce)),
            ("created=1700000000;nonce=\"n\"", Ok(NOW + 300)),
            ("created=1700000000;alg=rsa", Err(Refusal::SignatureAlgorithm)),
            ("created=1700000000;tag=1", Err(Refusal::SignatureMalformed)),
            ("created=1700000000;tag=\"web-bot-auth\";unheard-of", Ok(NOW + 300)),
        ] {
            let text = format!("a=();keyid=\"k\";{parameters}");
            let members = Members::dictionary(text.as_bytes()).unwrap();
            let read =
                Parameters::read(&members.get("a").unwrap().parameters, 300, UnixMillis(NOW * 1000 + 999));
            assert_eq!(read.map(|read| read.valid_until), expected, "{parameters}");
        }
        for key_id in ["keyid", "keyid=\"\"", "keyid=k", "x"] {
            let text = format!("a=();created=1700000000;{key_id}");
            let members = Members::dictionary(text.as_bytes()).unwrap();
            let read = Parameters::read(&members.get("a").unwrap().parameters, 300, UnixMillis(NOW * 1000));
            assert_eq!(read.map(|_| ()), Err(Refusal::SignatureKeyMissing), "{key_id}");
        }
    }
}
