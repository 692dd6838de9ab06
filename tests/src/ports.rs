//! Free ports.
//!
//! Taken below the range that the system gives to outgoing connections, so that a port stays free between
//! its choice and its use, and never given twice within a test process.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// A port that nobody listens on.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free() -> u16 {
    let mut next = NEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Test processes that run at the same time begin at different places.
    let start = u16::try_from(std::process::id() % u32::from(LAST - FIRST)).unwrap_or_default() + FIRST;
    let mut port = next.unwrap_or(start);
    for _ in FIRST..LAST {
        port = if port + 1 < LAST { port + 1 } else { FIRST };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            *next = Some(port);
            return port;
        }
    }
    panic!("no port from {FIRST} to {LAST} is free");
}
