use attach_core::config::memory::{Ack, SpaceConfig};

use super::*;
use crate::settings::memory::{Memory, MemoryBackend};

fn memory(environment: &[(&str, &str)]) -> Memory {
    with_issuer(environment).unwrap().memory
}

#[test]
fn memory_is_control_s_own_unless_a_weaviate_is_named() {
    assert_eq!(memory(&[]), Memory::default());
    assert_eq!(memory(&[("MEM_BACKEND", "none")]).backend, MemoryBackend::None);
    assert_eq!(memory(&[("MEM_BACKEND", "Embedded"), ("WEAVIATE_URL", "http://w:1")]).weaviate(), None);
    for (environment, url) in [
        (&[("WEAVIATE_URL", "http://127.0.0.1:6667/")][..], "http://127.0.0.1:6667/"),
        (&[("MEM_BACKEND", "weaviate")], "http://localhost:6666/"),
        (&[("MEM_BACKEND", "sakana"), ("WEAVIATE_URL", "https://w.example/base/")], "https://w.example/base"),
    ] {
        assert_eq!(memory(environment).weaviate().unwrap().url.as_str(), url);
    }
    let tenants = [("WEAVIATE_URL", "http://w:1"), ("WEAVIATE_TENANCY", "user"), ("WEAVIATE_API_KEY", "k-1")];
    let weaviate = memory(&tenants).weaviate().cloned().unwrap();
    assert_eq!((weaviate.tenants, weaviate.key.unwrap().expose()), (true, "k-1"));
}

#[test]
fn what_is_embedded_does_not_go_to_weaviate_directly() {
    let with_model = [("WEAVIATE_URL", "http://w:1"), ("MEM_EMBED_MODEL", "nomic-embed-text")];
    assert!(memory(&with_model[..1]).direct().is_some());
    assert!(memory(&with_model).direct().is_none());
}

#[test]
fn how_much_is_remembered_and_how_long_can_be_said() {
    let memory = memory(&[
        ("MEM_MAX_BYTES", "4096"),
        ("MEM_ACK", "strict"),
        ("MEM_ACK_TIMEOUT", "2"),
        ("MEM_RETENTION_DAYS", "30"),
        ("REDACT_NATIONAL_IDS", "on"),
        ("MEM_SPACES", "team-a=groups:team-a, ops=roles:a:b"),
    ]);
    assert_eq!((memory.max_bytes, memory.ack, memory.ack_timeout_ms), (4096, Ack::Strict, 2000));
    assert_eq!((memory.retention_days, memory.redaction.national_ids), (Some(30), true));
    let space = |name: &str, claim: &str, value: &str| SpaceConfig {
        name: name.into(),
        claim: claim.into(),
        value: value.into(),
    };
    assert_eq!(memory.spaces, [space("team-a", "groups", "team-a"), space("ops", "roles", "a:b")]);
    assert_eq!(
        memory.in_words(),
        "kept by control (MEM_BACKEND=embedded), for 30 days, answers wait for it (MEM_ACK=strict)"
    );
}

#[test]
fn mistakes_about_memory_are_named_with_their_settings() {
    for (name, value) in [
        ("MEM_BACKEND", "redis"),
        ("MEM_MAX_BYTES", "1023"),
        ("MEM_MAX_BYTES", "1048577"),
        ("MEM_ACK", "always"),
        ("MEM_ACK_TIMEOUT", "0"),
        ("MEM_ACK_TIMEOUT", "5s"),
        ("MEM_RETENTION_DAYS", "0"),
        ("MEM_SPACES", "team-a"),
        ("MEM_SPACES", "team-a=groups"),
        ("MEM_SPACES", "Team=groups:x"),
        ("MEM_SPACES", "a=:x"),
        ("WEAVIATE_URL", "127.0.0.1:8081"),
        ("WEAVIATE_URL", "http://localhost:8080"),
    ] {
        let invalid = with_issuer(&[(name, value)]).unwrap_err();
        assert_eq!(invalid.problems.len(), 1, "{name}={value}: {invalid}");
        assert_eq!(invalid.problems[0].setting, name);
    }
    let weaviate = [("WEAVIATE_URL", "http://w:1"), ("WEAVIATE_TENANCY", "team")];
    assert_eq!(with_issuer(&weaviate).unwrap_err().problems[0].setting, "WEAVIATE_TENANCY");
}

#[test]
fn what_says_nothing_is_noticed() {
    for (environment, name) in [
        (&[("MEM_BACKEND", "none"), ("MEM_SPACES", "a=b:c")][..], "MEM_SPACES"),
        (&[("WEAVIATE_API_KEY", "k")], "WEAVIATE_API_KEY"),
        (&[("MEM_ACK_TIMEOUT", "2")], "MEM_ACK_TIMEOUT"),
        (&[("WEAVIATE_URL", "http://w.example")], "WEAVIATE_URL"),
    ] {
        let notices = with_issuer(environment).unwrap().notices;
        assert!(notices.iter().any(|notice| notice.starts_with(name)), "{name}: {notices:?}");
    }
}

#[test]
fn patterns_of_one_s_own_stand_in_the_file() {
    let yaml = "memory: {redaction: {custom: [{kind: staff-id, pattern: \"EMP-[0-9]{6}\"}]}}\n";
    let folder = Folder::new().with("attach.yaml", yaml);
    let settings =
        load(&folder.sources(&[("OIDC_ISSUER", "https://idp.example"), ("OIDC_AUD", "api")])).unwrap();
    let custom = &settings.memory.redaction.custom;
    assert_eq!((custom.len(), custom[0].kind.as_str()), (1, "staff-id"));
    for (yaml, setting) in [
        ("memory: {redaction: {custom: [{kind: a}]}}\n", "memory.redaction.custom[0].pattern"),
        ("memory: {redaction: {custom: [{pattern: a}]}}\n", "memory.redaction.custom[0].kind"),
        ("memory: {retention: 1}\n", "memory.retention"),
    ] {
        let folder = Folder::new().with("attach.yaml", yaml);
        let invalid = load(&folder.sources(&[("OIDC_ISSUER", "https://idp.example"), ("OIDC_AUD", "api")]))
            .unwrap_err();
        assert_eq!(invalid.problems[0].setting, setting, "{invalid}");
    }
}
