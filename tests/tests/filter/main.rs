//! What the filter does to requests, on one gateway with two issuers that all tests here share.

use std::sync::OnceLock;

use attach_tests::fixture::Fixture;

mod control;
mod cors;
mod grpc;
mod hostile;
mod metrics;
mod paths;
mod refusals;
mod routes;
mod stamping;
mod streaming;
mod tokens;
mod websocket;

/// The gateway; its watchdog stops it when this process ends.
fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| Fixture::start("filter", |builder| builder))
}

/// Lower-case hexadecimal SHA-256.
fn sha256(text: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
