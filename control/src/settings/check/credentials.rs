//! DIDs, orchestrators' keys and services' keys: who may come in without an issuer.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use attach_core::authn::did::AllowedDid;
use attach_core::authn::hmac::{KeysError, parse_keys};

use super::Checker;
use super::files::read_bounded;
use crate::authorized_keys;
use crate::settings::problem::shown;
use crate::settings::{Hmac, HmacKey, Method, Rotagent, Secret};

/// The most entries of a list.
const MAX_ENTRIES: usize = 256;
/// Where rotagent keeps its keys.
const KEYS_FOLDER: &str = "authorized_keys";
/// The longest file of keys, in bytes.
const MAX_KEYS_FILE: u64 = 256 * 1024;
/// All keys together, which travel in one environment variable; Linux has room for 128 KiB.
const MAX_KEYS_BYTES: usize = 96 * 1024;

impl Checker {
    pub(super) fn did_allow(&mut self, methods: &[Method]) -> Option<Vec<String>> {
        if !methods.contains(&Method::Did) {
            return None;
        }
        let entries = self.parts("DID_ALLOW");
        if entries.len() > MAX_ENTRIES {
            self.problem("DID_ALLOW", format!("has {} entries; {MAX_ENTRIES} are the most", entries.len()));
        }
        for entry in &entries {
            if let Err(why) = AllowedDid::parse(entry) {
                self.problem("DID_ALLOW", format!("{}: {why}", shown(entry)));
            }
        }
        if entries.iter().any(|entry| entry == "*") {
            self.findings.notice("DID_ALLOW=*: whoever makes a key may come in");
        }
        Some(entries)
    }

    pub(super) fn rotagent(&mut self, methods: &[Method], user_prefix: String) -> Option<Rotagent> {
        if !methods.contains(&Method::Rotagent) {
            return None;
        }
        let folder = self.folder.join(self.text("AUTHORIZED_KEYS_DIR").as_deref().unwrap_or(KEYS_FOLDER));
        // Keys that come later count at once; but a gateway that can verify nobody is never well, and its
        // start would fail without saying why. Control goes on whatever becomes of the folder.
        let has_keys = || authorized_keys::read(&folder).is_ok_and(|found| !found.keys.is_empty());
        if folder.exists() && !folder.is_dir() {
            self.problem("AUTHORIZED_KEYS_DIR", format!("{} is no folder", folder.display()));
        } else if methods == [Method::Rotagent] && !self.secrets_withheld && !has_keys() {
            self.problem(
                "AUTHORIZED_KEYS_DIR",
                format!(
                    "{} holds no public key, and no other method is on: nobody could come in (`attach keys generate --issuer NAME --out NAME.key` puts one there)",
                    folder.display()
                ),
            );
        } else if !folder.exists() {
            self.findings.notice(format!(
                "AUTHORIZED_KEYS_DIR {} does not exist: nobody comes in by rotagent until there is a key in it (`attach keys generate` makes both)",
                folder.display()
            ));
        }
        Some(Rotagent { folder, user_prefix })
    }

    pub(super) fn hmac(&mut self, methods: &[Method], user_prefix: String) -> Option<Hmac> {
        if !methods.contains(&Method::Hmac) {
            return None;
        }
        let text = self.text("HMAC_KEYS").unwrap_or_default();
        let entries: Vec<String> = match text.strip_prefix('@') {
            Some(path) => {
                let path = self.folder.join(path);
                match read_bounded(&path, MAX_KEYS_FILE) {
                    Ok(text) => {
                        self.exposed(&path);
                        let lines = text.lines().map(str::trim);
                        lines
                            .filter(|line| !line.is_empty() && !line.starts_with('#'))
                            .map(str::to_owned)
                            .collect()
                    }
                    Err(why) => {
                        self.problem("HMAC_KEYS", format!("{} {why}", path.display()));
                        return Some(Hmac { keys: Vec::new(), user_prefix });
                    }
                }
            }
            None => self.parts("HMAC_KEYS"),
        };
        if entries.len() > MAX_ENTRIES || (entries.is_empty() && self.values.get("HMAC_KEYS").is_some()) {
            self.problem("HMAC_KEYS", format!("must have 1 to {MAX_ENTRIES} entries kid=secret"));
        }
        if entries.iter().map(String::len).sum::<usize>() > MAX_KEYS_BYTES {
            self.problem("HMAC_KEYS", format!("must be at most {MAX_KEYS_BYTES} bytes in all"));
        }
        let mut keys: Vec<HmacKey> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            match hmac_key(entry) {
                Ok(key) if keys.iter().any(|earlier| earlier.name == key.name) => {
                    self.problem("HMAC_KEYS", format!("has {} twice", shown(&key.name)));
                }
                Ok(key) => keys.push(key),
                Err(message) => self.problem("HMAC_KEYS", format!("entry {}: {message}", at + 1)),
            }
        }
        Some(Hmac { keys, user_prefix })
    }

    fn exposed(&mut self, path: &Path) {
        let mode = std::fs::metadata(path).map(|file| file.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o007 != 0) {
            self.findings
                .notice(format!("HMAC_KEYS: {} can be read by others; chmod 600 it", path.display()));
        }
    }
}

/// `kid=secret`, as the filter will read it. The error shows nothing that may be part of a secret.
fn hmac_key(entry: &str) -> Result<HmacKey, String> {
    let read = parse_keys(entry).map_err(|error| match error {
        KeysError::Form(_) => "must be kid=secret (the value is not shown)".to_owned(),
        KeysError::Name(_) => {
            "its kid must be 1 to 64 letters, digits, '.', '_' or '-' (not shown)".to_owned()
        }
        other => other.to_string(),
    })?;
    match (read.as_slice(), entry.split_once('=')) {
        ([(name, _)], Some((_, secret))) => {
            Ok(HmacKey { name: name.to_string(), secret: Secret::new(secret.to_owned()) })
        }
        _ => Err("must be one kid=secret".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_key_has_a_name_and_256_bits() {
        let long = "s".repeat(32);
        let key = hmac_key(&format!("billing={long}==")).unwrap();
        assert_eq!((key.name.as_str(), key.secret.expose()), ("billing", format!("{long}==").as_str()));
        for bad in [
            "billing".to_owned(),
            format!("={long}"),
            format!("bil ling={long}"),
            "billing=hunter2".to_owned(),
            format!("billing={long}\u{1}"),
            format!("billing={long},x={long}"),
        ] {
            let message = hmac_key(&bad).unwrap_err();
            assert!(!message.contains("hunter2") && !message.contains(&long), "{message}");
        }
    }
}
