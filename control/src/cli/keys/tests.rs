use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::supervise::tests::Folder;

fn folder_args(dir: &Path) -> FolderArgs {
    FolderArgs { dir: Some(dir.to_owned()), env_file: None }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_pair_is_made_in_two_places_and_never_replaced_by_accident() {
    let folder = Folder::new("keys-generate");
    let dir = folder.path().join("authorized_keys");
    let out = folder.path().join("planner.key");
    let args = |force, out: &Path| GenerateArgs {
        issuer: "planner".to_owned(),
        out: Some(out.to_owned()),
        force,
        folder: folder_args(&dir),
    };
    generate(&args(false, &out)).unwrap();
    assert_eq!((mode(&out), mode(&dir.join("planner.pem"))), (0o600, 0o644));
    let private = fs::read_to_string(&out).unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----"));
    Orchestrator::new("planner", &Secret::new(private.clone())).unwrap();
    let found = authorized_keys::read(&dir).unwrap();
    assert!(found.keys.contains_key("planner") && found.refused.is_empty(), "no draft stays: {found:?}");

    let elsewhere = folder.path().join("elsewhere.key");
    for (again, reason) in [(&out, "planner.key is there"), (&elsewhere, "planner.pem is there")] {
        let error = generate(&args(false, again)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(!elsewhere.exists(), "nothing is half done");
    generate(&args(true, &out)).unwrap();
    assert_ne!(fs::read_to_string(&out).unwrap(), private);
    assert_eq!(mode(&out), 0o600);

    let error = generate(&args(true, &dir.join("x.key"))).unwrap_err().to_string();
    assert!(error.contains("for public keys"), "{error}");
    fs::rename(dir.join("planner.pem"), dir.join("planner.pub")).unwrap();
    let error = generate(&args(true, &out)).unwrap_err().to_string();
    assert!(error.contains("planner.pub"), "{error}");
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_refused() {
    let folder = Folder::new("keys-names");
    for issuer in ["", "../x", "a/b", "a b", "ü"] {
        let error = pair(folder.path(), issuer, true).unwrap_err();
        assert!(matches!(error, Error::Orchestrator(orchestrator::Error::Issuer)), "{issuer}");
    }
}

#[test]
fn the_env_file_is_read_for_two_settings_and_no_other_is_judged() {
    let folder = Folder::new("keys-lookup");
    let file = folder.path().join("my.env");
    fs::write(
        &file,
        "PORT=nonsense\nAUTHORIZED_KEYS_DIR='keys'\nATTACH_TEST_EMPTY=\nATTACH_TEST_A=1\nATTACH_TEST_A=2\n",
    )
    .unwrap();
    let lookup = Lookup::read(Some(&file)).unwrap();
    assert_eq!(lookup.value("ATTACH_TEST_A").as_deref(), Some("2"));
    assert_eq!(lookup.value("ATTACH_TEST_EMPTY"), None);
    assert_eq!(lookup.path("keys"), folder.path().join("keys"));
    assert_eq!(lookup.path("/keys"), Path::new("/keys"));
    assert!(Lookup::read(Some(&folder.path().join("missing"))).is_err());
}

#[test]
fn a_gateway_that_was_never_started_has_no_keys_to_rotate() {
    let folder = Folder::new("keys-rotate");
    let args = SettingsArgs { state_dir: Some(folder.path().join("state")), ..SettingsArgs::default() };
    assert!(rotate(&args).unwrap_err().to_string().contains("attach up"));
    let state = StateDir::at(folder.path().join("state"));
    state.create().unwrap();
    rotate(&args).unwrap();
    for purpose in [Purpose::Assertions, Purpose::GatewayTokens] {
        assert_eq!(mode(&state.secrets().join(purpose.file_name())), 0o600);
    }
}
