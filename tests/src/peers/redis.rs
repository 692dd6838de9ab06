//! A real Redis.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use super::{Leashed, leash, scripts};
use crate::{env, ports};

/// A Redis that keeps nothing on disk.
pub struct Redis {
    port: u16,
    running: Option<Leashed>,
}

impl Redis {
    /// Starts it.
    ///
    /// # Panics
    /// When it is missing, or does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut redis = Self { port: ports::free(), running: None };
        redis.up();
        redis
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again, empty, at the same address.
    ///
    /// # Panics
    /// When it does not start.
    pub fn up(&mut self) {
        let binary = env::required_peer("ATTACH_TEST_REDIS", "the package redis-server");
        let port = self.port.to_string();
        let arguments = [
            "--port",
            &*port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ];
        let mut command = leash(binary, &arguments);
        self.running = Some(Leashed::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        scripts::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), "Redis to listen");
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Stops it.
    pub fn down(&mut self) {
        self.running = None;
    }
}
