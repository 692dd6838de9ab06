//! One file of the folder: an RSA public key in PEM.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use attach_core::crypto::{Algorithm, PublicKey, to_base64url};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest as _, Sha256};

/// The most bytes of a file that is read.
const MAX_BYTES: u64 = 16 * 1024;
/// The shortest modulus, in bits (RFC 7518 section 3.3).
const MIN_BITS: usize = 2048;
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// An RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    bits: usize,
    fingerprint: String,
}

/// Why a file holds no key that counts. Nothing of its content is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It cannot be read, is no file, or is gone again.
    #[error("it cannot be read ({0})")]
    Unreadable(String),
    /// It is too long to be a key.
    #[error("it is longer than {} KiB", MAX_BYTES / 1024)]
    TooLong,
    /// It holds a private key.
    #[error(
        "it holds a PRIVATE key: move it to the machine that signs, and put its public half here (openssl pkey -in FILE -pubout)"
    )]
    Private,
    /// It is a key in the older form.
    #[error(
        "it begins with BEGIN RSA PUBLIC KEY: convert it (openssl rsa -RSAPublicKey_in -in FILE -pubout)"
    )]
    Pkcs1,
    /// There is no key, or one that cannot be read, in it.
    #[error("it holds no RSA public key in PEM ({BEGIN})")]
    NoKey,
    /// There are several.
    #[error("it holds more than one public key: one file, one key")]
    Several,
    /// The key is too short to be trusted.
    #[error("its RSA key has {0} bits: {MIN_BITS} are the least")]
    Short(usize),
}

impl Key {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, BadKey> {
        let unreadable = |error: std::io::Error| BadKey::Unreadable(error.to_string());
        // Opening a pipe would wait for whoever writes into it.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(BadKey::Unreadable("it is no file".to_owned()));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::parse(&bytes)
    }

    /// Reads a file's content. Text around the key is left out of account, as every reader of PEM does
    /// (RFC 7468 section 2), unless it is a private key.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(BadKey::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadKey::NoKey)?;
        if text.contains("PRIVATE KEY") {
            return Err(BadKey::Private);
        }
        let Some((_, rest)) = text.split_once(BEGIN) else {
            return Err(if text.contains("BEGIN RSA PUBLIC KEY") { BadKey::Pkcs1 } else { BadKey::NoKey });
        };
        let (body, after) = rest.split_once(END).ok_or(BadKey::NoKey)?;
        if after.contains("-----BEGIN") {
            return Err(BadKey::Several);
        }
        // Indented and Windows files are read too; the decoder itself is strict.
        let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let pem = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
        let key = RsaPublicKey::from_public_key_pem(&pem).map_err(|_| BadKey::NoKey)?;
        let bits = key.n().bits();
        if bits < MIN_BITS {
            return Err(BadKey::Short(bits));
        }
        let (modulus, exponent) = (key.n().to_bytes_be(), key.e().to_bytes_be());
        // The filter would pass over what it cannot use: say so here, where somebody reads it.
        PublicKey::rsa(Algorithm::Rs256, &modulus, &exponent).ok_or(BadKey::NoKey)?;
        let der = rsa::pkcs8::EncodePublicKey::to_public_key_der(&key).map_err(|_| BadKey::NoKey)?;
        let fingerprint = format!("{:x}", Sha256::digest(der.as_bytes()));
        Ok(Self { modulus, exponent, bits, fingerprint })
    }

    /// The modulus in base64url.
    pub(super) fn modulus(&self) -> String {
        to_base64url(&self.modulus)
    }

    /// The exponent in base64url.
    pub(super) fn exponent(&self) -> String {
        to_base64url(&self.exponent)
    }

    /// Modulus and exponent.
    #[cfg(test)]
    pub(crate) fn verifying_components(&self) -> (&[u8], &[u8]) {
        (&self.modulus, &self.exponent)
    }

    /// Bits of the modulus.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// SHA-256 of the key in DER, in lower-case hexadecimal digits: what
    /// `openssl pkey -pubin -outform DER | sha256sum` shows.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
