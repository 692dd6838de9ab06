//! A stand-in for OpenMeter that can be killed: what it has said yes to outlives it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use super::{Leashed, leash, script, scripts};
use crate::{env, ports, wait};

/// A running stand-in, or one that was killed.
pub struct OpenMeter {
    port: u16,
    folder: PathBuf,
    running: Option<Leashed>,
}

impl OpenMeter {
    /// The key that it takes.
    pub const KEY: &str = "om-test-key-5d1c";

    /// Starts one that has seen nothing.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let port = ports::free();
        let folder = env::state().join(format!("openmeter-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut openmeter = Self { port, folder, running: None };
        openmeter.up();
        openmeter
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it again at the same address, with all that it had.
    ///
    /// # Panics
    /// When it does not start.
    pub fn up(&mut self) {
        let arguments = [
            script("openmeter.py").into_os_string(),
            self.port.to_string().into(),
            Self::KEY.into(),
            self.folder.clone().into_os_string(),
        ];
        let mut running = Leashed::start(leash(scripts::interpreter(), &arguments).stderr(Stdio::null()));
        running.wait_for("ready");
        self.running = Some(running);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// `kill -9` while it has taken a batch and has not said so.
    ///
    /// # Panics
    /// When no batch comes.
    pub fn kill_in_a_batch(&mut self) {
        let size = || fs::metadata(self.folder.join("events")).map_or(0, |file| file.len());
        let before = size();
        // It says so a tenth of a second later.
        wait::until("a batch to come", || (size() > before).then_some(()));
        self.kill();
    }

    /// From now on no event of these subjects is taken.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn refuse(&self, subjects: &[&str]) {
        fs::write(self.folder.join("poison"), subjects.join("\n")).expect("it is written");
    }

    /// Every event of a subject that was taken, as often as it came.
    ///
    /// # Panics
    /// When what is kept is no event.
    #[must_use]
    pub fn events(&self, subject: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("events")).unwrap_or_default();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
        events.filter(|event| event["subject"] == subject).collect()
    }

    /// The same, as OpenMeter counts them: of those with one source and id, one, by id.
    ///
    /// # Panics
    /// When two of them do not say the same.
    #[must_use]
    pub fn distinct(&self, subject: &str) -> BTreeMap<String, Value> {
        let mut distinct = BTreeMap::new();
        for event in self.events(subject) {
            // The source is always the same one: the stand-in sees to that.
            let id = event["id"].as_str().expect("an id").to_owned();
            let before = distinct.insert(id, event.clone());
            assert!(before.is_none_or(|before| before == event), "one id, two events: {event}");
        }
        distinct
    }

    /// Why batches were not taken.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("complaints")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for OpenMeter {
    fn drop(&mut self) {
        self.running = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}
