//! Puts the filter into the `attach` binary, so that the binary alone is a whole gateway.
//!
//! `ATTACH_WASM` names a module that is built already (the Makefile does that). Without it the filter is
//! built here by a second cargo with a target directory of its own, so that `cargo install --path control`
//! is all a person needs; it follows the outer profile, because a developer's `cargo check` must not wait
//! for link-time optimisation.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip1";

fn main() {
    if let Err(message) = run() {
        println!("cargo::error={message}");
    }
}

fn run() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let root = manifest.parent().ok_or("control/ stands inside the workspace")?;

    let version_file = root.join("envoy/VERSION");
    println!("cargo::rerun-if-changed={}", version_file.display());
    let version = std::fs::read_to_string(&version_file)
        .map_err(|error| format!("cannot read {}: {error}", version_file.display()))?;
    println!("cargo::rustc-env=ATTACH_ENVOY_VERSION={}", version.trim());

    println!("cargo::rerun-if-env-changed=ATTACH_WASM");
    let module = match env::var_os("ATTACH_WASM").filter(|path| !path.is_empty()) {
        Some(path) => {
            // Cargo starts build scripts in the package's folder, which is nobody's idea of "here".
            let path = root.join(path);
            println!("cargo::rerun-if-changed={}", path.display());
            path
        }
        None => build(root, &out)?,
    };
    std::fs::copy(&module, out.join("attach.wasm"))
        .map_err(|error| format!("cannot read the module {} (ATTACH_WASM): {error}", module.display()))?;
    Ok(())
}

fn build(root: &Path, out: &Path) -> Result<PathBuf, String> {
    for source in ["filter", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    require_target()?;
    let profile = if variable("PROFILE")? == "release" { "module" } else { "dev" };
    let target_dir = out.join("wasm");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(root).args([
        "build",
        "--package",
        "attach-filter",
        "--target",
        TARGET,
        "--profile",
        profile,
    ]);
    cargo.arg("--target-dir").arg(&target_dir);
    // What is meant for the outer, native build: its flags, its target, and clippy's driver.
    for name in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ] {
        cargo.env_remove(name);
    }
    // A build script's standard output is read by cargo; the inner build's talk belongs on the other one.
    let output = cargo.output().map_err(|error| format!("cannot run cargo for the filter: {error}"))?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return Err("the filter does not build; its errors stand above".into());
    }
    // The folder of the `dev` profile is called `debug`.
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target_dir.join(TARGET).join(folder).join("attach.wasm"))
}

/// Without the target, rustc's own message is a page of "can't find crate for `core`".
fn require_target() -> Result<(), String> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let installed = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if installed {
        return Ok(());
    }
    Err(format!("the filter needs Rust's {TARGET} target: run `rustup target add {TARGET}` and build again"))
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}
