//! What the Makefile tells the tests: where everything is that they talk to.

use std::path::PathBuf;

/// The `attach` binary.
///
/// # Panics
/// When `ATTACH_BIN` is not set.
#[must_use]
pub fn attach() -> PathBuf {
    path("ATTACH_BIN").unwrap_or_else(|| panic!("ATTACH_BIN is not set: run `make test-e2e`"))
}

/// The filter's module as it is built, before it was put into the binary.
///
/// # Panics
/// When `ATTACH_TEST_MODULE` is not set.
#[must_use]
pub fn module() -> PathBuf {
    path("ATTACH_TEST_MODULE").unwrap_or_else(|| panic!("ATTACH_TEST_MODULE is not set: run `make test-e2e`"))
}

/// Where the gateways' state folders are made.
#[must_use]
pub fn state() -> PathBuf {
    path("ATTACH_TEST_STATE").unwrap_or_else(|| std::env::temp_dir().join("attach-e2e"))
}

/// A peer's file, which may be missing on a user's machine and never in CI; says so where it is.
///
/// # Panics
/// When it is missing and `ATTACH_TEST_REQUIRE_PEERS` is set.
#[must_use]
pub fn peer(variable: &str, install: &str) -> Option<PathBuf> {
    let found = path(variable).filter(|path| path.exists());
    if found.is_none() {
        let required = std::env::var_os("ATTACH_TEST_REQUIRE_PEERS").is_some_and(|value| !value.is_empty());
        assert!(!required, "{variable} names no file: install {install} and run `make test-setup`");
        println!("skipped: install {install} and run `make test-setup`");
    }
    found
}

/// A peer's file that there is no doing without.
///
/// # Panics
/// When it is missing, saying what to install.
#[must_use]
pub fn required_peer(variable: &str, install: &str) -> PathBuf {
    path(variable)
        .filter(|path| path.exists())
        .unwrap_or_else(|| panic!("{variable} names no file: install {install} and run `make test-setup`"))
}

fn path(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
