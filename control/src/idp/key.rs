//! The signing key: RSA 2048, made by `rsa`, used by `ring`, kept in a PEM file that only its owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Bits of the modulus of a key that is made here.
const BITS: usize = 2048;

/// The most bytes of a key file: one of 8192 bits has 6.5 KB.
const MAX_FILE: u64 = 16 * 1024;

/// The key that signs tokens. Its `Debug` shows the key's id and nothing else.
pub struct SigningKey {
    pair: KeyPair,
    kid: String,
    n: String,
    e: String,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file system refused.
    #[error("cannot {action} the key file {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the key.
    #[error("the key file {0} may be read by others than its owner: chmod 600 {0}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error(
        "the key file {} holds no RSA private key of 2048 to 4096 bits in PKCS #8 PEM: delete it and a new one is made",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
    },
    /// No key could be made.
    #[error("cannot make a signing key: {0}")]
    Generation(&'static str),
}

/// A signature could not be made, or its claims could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign")]
pub(super) struct CannotSign;

impl SigningKey {
    /// A new key that lives as long as this value.
    pub fn generate() -> Result<SigningKey, KeyError> {
        SigningKey::new(&generate()?).ok_or(KeyError::Generation("ring refuses the new key"))
    }

    /// The key in the file at `path`; where there is none, a new key is put there, with mode 0600.
    ///
    /// Of several that make the file at once, one wins and all have its key.
    pub fn load_or_create(path: &Path) -> Result<SigningKey, KeyError> {
        if let Some(key) = SigningKey::load(path)? {
            return Ok(key);
        }
        create(path)?;
        SigningKey::load(path)?.ok_or_else(|| file("read", path, io::ErrorKind::NotFound.into()))
    }

    fn load(path: &Path) -> Result<Option<SigningKey>, KeyError> {
        let failed = |source| file("read", path, source);
        let opened = match File::open(path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if opened.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned() });
        }
        let mut pem = String::new();
        let unusable = || KeyError::Unusable { path: path.to_owned() };
        match opened.take(MAX_FILE).read_to_string(&mut pem) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(unusable()),
            Err(error) => return Err(failed(error)),
        }
        let private = RsaPrivateKey::from_pkcs8_pem(&pem).map_err(|_| unusable())?;
        SigningKey::new(&private).map(Some).ok_or_else(unusable)
    }

    fn new(private: &RsaPrivateKey) -> Option<SigningKey> {
        let pair = KeyPair::from_pkcs8(private.to_pkcs8_der().ok()?.as_bytes()).ok()?;
        let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        // RFC 7638 section 3: the required members alone, in this order, without white space.
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)));
        Some(SigningKey { pair, kid, n, e })
    }

    /// The key's id: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JWK set (RFC 7517) that verifies what this key signs.
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": [
            { "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": self.n, "e": self.e }
        ]})
    }

    /// A compact JWS (RFC 7515) of `claims`, with RS256 and the given `typ`.
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, CannotSign> {
        let header = json!({ "alg": "RS256", "kid": self.kid, "typ": typ });
        let part = |bytes: Result<Vec<u8>, serde_json::Error>| {
            bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| CannotSign)
        };
        let mut token = part(serde_json::to_vec(&header))?;
        token.push('.');
        token.push_str(&part(serde_json::to_vec(claims))?);
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| CannotSign)?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(token)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn generate() -> Result<RsaPrivateKey, KeyError> {
    RsaPrivateKey::new(&mut OsRng, BITS).map_err(|_| KeyError::Generation("no prime numbers were found"))
}

/// Makes a whole file beside the wanted one and links it to its name, so that nobody ever sees half a key and
/// a key that came first is never replaced.
fn create(path: &Path) -> Result<(), KeyError> {
    let failed = |source| file("create", path, source);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let pem = generate()?
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| KeyError::Generation("it cannot be written as PEM"))?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", std::process::id()));
    let draft = PathBuf::from(draft);
    // A draft of a process that had this one's number and died half-way.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let written = write_new(&draft, pem.as_bytes()).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&draft);
    written.and(removed).map_err(failed)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn file(action: &'static str, path: &Path, source: io::Error) -> KeyError {
    KeyError::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes away with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("attach-key-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_missing_key_file_is_made_for_its_owner_alone_and_kept() {
        let folder = Folder::new("kept");
        let path = folder.0.join("secrets/idp-key.pem");
        let first = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "the draft is gone");
        assert_eq!(SigningKey::load_or_create(&path).unwrap().kid(), first.kid());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = Folder::new("exposed");
        let path = folder.0.join("key.pem");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = SigningKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { .. }));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_alone() {
        let folder = Folder::new("unusable");
        let path = folder.0.join("key.pem");
        for content in [&b"not a key"[..], &[0xff, 0xfe], b""] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(SigningKey::load_or_create(&path), Err(KeyError::Unusable { .. })));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn the_debug_text_of_a_key_holds_its_id_alone() {
        let key = crate::idp::tests::key();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid()));
    }

    #[test]
    fn the_key_id_is_the_rfc_7638_thumbprint() {
        let key = crate::idp::tests::key();
        let jwk = key.jwks()["keys"][0].clone();
        let members = json!({ "e": jwk["e"], "kty": jwk["kty"], "n": jwk["n"] }).to_string();
        assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(members)), key.kid());
        assert_eq!(jwk["kid"], key.kid());
    }
}
