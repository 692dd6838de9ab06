//! Where this machine keeps the certificate authorities it trusts.
//!
//! Envoy has no list of its own: it must be given a file. The tools use the same one, so that what they can
//! reach and what Envoy can reach do not differ.

use std::path::{Path, PathBuf};

/// The bundles that systems install, in the order of how common they are.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
];

/// `SSL_CERT_FILE`, else the system's bundle, else nothing.
#[must_use]
pub fn find(ssl_cert_file: Option<&Path>) -> Option<PathBuf> {
    match ssl_cert_file {
        Some(file) => Some(file.to_owned()),
        None => BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.is_file()),
    }
}
