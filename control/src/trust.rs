//! Whose word control takes: the filter's, and nobody else's.
//!
//! The filter puts a 256-bit secret on every request it sends here; `attach` makes it, Envoy's VM and this
//! process get it by reference. Without it a request is a stranger's, whatever `X-Attach-*` it brings: any
//! local process can connect to a loopback port.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use attach_core::config::compile::SECRET_CHARS;
use attach_core::secret::Secret;
use attach_core::stamp;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::serve::State;
use crate::serve::reply::detail;

/// The environment variable that holds the secret where no file does.
pub const SECRET_ENV: &str = "ATTACH_CONTROL_SECRET";

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the gateway's secret {path}: {source}; `attach up` makes it")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("the gateway's secret {0} can be read by others: chmod 600 it, or delete it and run `attach up`")]
    Exposed(PathBuf),
    /// It is no secret.
    #[error("{0} must hold {SECRET_CHARS} hexadecimal digits; `attach up` makes such a secret")]
    Malformed(String),
}

/// The secret: the environment's ([`SECRET_ENV`]) if there is one, else the file's.
///
/// # Errors
/// See [`Error`]; none of them shows what was found.
pub fn secret(environment: Option<String>, path: &Path) -> Result<Secret, Error> {
    if let Some(value) = environment.filter(|value| !value.is_empty()) {
        return well_formed(value.trim()).ok_or_else(|| Error::Malformed(SECRET_ENV.to_owned()));
    }
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(unreadable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata().map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
            return Err(Error::Exposed(path.to_owned()));
        }
    }
    let mut text = String::new();
    // One byte more than a secret with its line end: a longer file is not one.
    file.by_ref().take(SECRET_CHARS as u64 + 3).read_to_string(&mut text).map_err(unreadable)?;
    well_formed(text.trim()).ok_or_else(|| Error::Malformed(path.display().to_string()))
}

fn well_formed(text: &str) -> Option<Secret> {
    (text.len() == SECRET_CHARS && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| Secret::new(text.as_bytes().to_vec()))
}

/// Proof that the filter sent a request.
#[derive(Clone, Copy, Debug)]
pub struct FromFilter(());

/// The verified caller of a request, as the filter stamped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who: unique across all sources of identities.
    pub user: String,
    /// The session id: a label, never a right.
    pub session: String,
    /// Who acts for the user, where the credential says so.
    pub agent: Option<String>,
    /// What the user may do.
    pub scopes: Vec<String>,
    /// The spaces of memory that the user is admitted to.
    pub spaces: Vec<String>,
}

/// Why a request is not believed. One answer for every reason: a stranger learns nothing.
#[derive(Clone, Copy, Debug)]
pub struct Stranger;

impl IntoResponse for Stranger {
    fn into_response(self) -> Response {
        detail(StatusCode::UNAUTHORIZED, "This is answered to the gateway's filter only")
    }
}

impl FromRequestParts<State> for FromFilter {
    type Rejection = Stranger;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Stranger> {
        let mut shown = parts.headers.get_all(stamp::CONTROL_SECRET).iter();
        match (shown.next(), shown.next()) {
            (Some(secret), None) if state.secret.matches(secret.as_bytes()) => Ok(Self(())),
            _ => Err(Stranger),
        }
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = Stranger;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Stranger> {
        FromFilter::from_request_parts(parts, state).await?;
        // `Err`: it stands there twice, or is no text.
        let at_most_one = |name| {
            let mut values = parts.headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => match value.to_str() {
                    Ok(value) if !value.is_empty() => Ok(Some(value.to_owned())),
                    _ => Err(Stranger),
                },
                _ => Err(Stranger),
            }
        };
        match (at_most_one(stamp::USER)?, at_most_one(stamp::SESSION)?, at_most_one(stamp::AGENT)?) {
            (Some(user), Some(session), agent) => {
                let words = |list: Option<String>| {
                    list.unwrap_or_default()
                        .split(' ')
                        .filter(|word| !word.is_empty())
                        .map(str::to_owned)
                        .collect()
                };
                let scopes = words(at_most_one(stamp::SCOPES)?);
                Ok(Self { user, session, agent, scopes, spaces: words(at_most_one(stamp::SPACES)?) })
            }
            _ => Err(Stranger),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(text: &str, mode: u32) -> (PathBuf, Result<Secret, Error>) {
        let folder =
            std::env::temp_dir().join(format!("attach-trust-{}-{text:.8}-{mode}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("control");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let found = secret(None, &path);
        fs::remove_dir_all(folder).unwrap();
        (path, found)
    }

    #[test]
    fn a_secret_is_64_digits_in_a_file_of_one_s_own() {
        let digits = "0123456789abcdef".repeat(4);
        assert!(file(&format!("{digits}\n"), 0o600).1.unwrap().matches(digits.as_bytes()));
        assert!(matches!(file(&digits, 0o644).1, Err(Error::Exposed(_))));
        for bad in ["", "short", &"g".repeat(64), &"0".repeat(65), &"0".repeat(63)] {
            assert!(matches!(file(bad, 0o600).1, Err(Error::Malformed(_))), "{bad}");
        }
        assert!(matches!(secret(None, Path::new("/nonexistent/control")), Err(Error::Unreadable { .. })));
    }

    #[test]
    fn the_environment_s_secret_wins_and_is_never_shown() {
        let digits = "f".repeat(64);
        assert!(secret(Some(digits.clone()), Path::new("/nonexistent")).unwrap().matches(digits.as_bytes()));
        let error = secret(Some("hunter2".to_owned()), Path::new("/nonexistent")).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
