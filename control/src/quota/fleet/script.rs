//! Lua that runs in Redis: by its hash, and by its text where Redis does not know it yet.

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};

/// The clock of all controls.
const CLOCK: &str = include_str!("lua/clock.lua");
/// The rules of an account.
const ENTRY: &str = include_str!("lua/entry.lua");
/// For tests: the last argument is the second that it is.
#[cfg(test)]
const TOLD: &str = "local now = tonumber(ARGV[#ARGV])\nlocal micros = 0\n";

/// A script, and its hash.
#[derive(Clone, Debug)]
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        // What Redis names scripts by.
        let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let hash = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, hash }
    }

    /// Carries an operation out.
    #[must_use]
    pub(super) fn operate() -> Self {
        Self::new(&[CLOCK, ENTRY, include_str!("lua/operate.lua")])
    }

    /// [`operate`](Self::operate) with the time as its last argument.
    #[cfg(test)]
    pub(super) fn operate_at() -> Self {
        Self::new(&[TOLD, ENTRY, include_str!("lua/operate.lua")])
    }

    /// Says that a control lives, and learns of the epoch.
    #[must_use]
    pub(super) fn epoch() -> Self {
        Self::new(&[CLOCK, include_str!("lua/epoch.lua")])
    }

    /// Adds a piece of a journal.
    #[must_use]
    pub(super) fn add() -> Self {
        Self::new(&[CLOCK, ENTRY, include_str!("lua/add.lua")])
    }

    /// Runs it.
    ///
    /// # Errors
    /// What Redis or the way to it says.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        keys: &[String],
        arguments: &[String],
    ) -> Result<T, RedisError> {
        let by_hash = self.command("EVALSHA", &self.hash, keys, arguments);
        match by_hash.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command("EVAL", &self.text, keys, arguments).query_async(connection).await
            }
            answer => answer,
        }
    }

    fn command(&self, name: &str, script: &str, keys: &[String], arguments: &[String]) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        command
    }
}
