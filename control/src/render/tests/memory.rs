use attach_core::config::memory::{Ack, MemoryConfig};

use super::*;

fn of(environment: &[(&str, &str)]) -> Resolved {
    let jwks = [("http://127.0.0.1:8082/.well-known/jwks.json", None)];
    resolved(environment, "http://127.0.0.1:8083", &jwks)
}

#[test]
fn what_control_keeps_needs_no_cluster() {
    let plugin = render(&simple(), &files()).unwrap().plugin;
    assert_eq!(plugin.memory, Some(MemoryConfig::default()));
    assert_eq!(render(&of(&[("MEM_BACKEND", "none")]), &files()).unwrap().plugin.memory, None);
}

#[test]
fn weaviate_has_a_cluster_and_its_key_stands_nowhere() {
    let environment = [
        ("WEAVIATE_URL", "http://127.0.0.1:6666/base"),
        ("WEAVIATE_API_KEY", "not-to-be-seen"),
        ("WEAVIATE_TENANCY", "user"),
        ("MEM_ACK", "strict"),
        ("MEM_SPACES", "team-a=groups:team-a"),
    ];
    let resolved = of(&environment);
    let rendered = render(&resolved, &files()).unwrap();
    assert!(!rendered.bootstrap.contains("not-to-be-seen"));
    assert_eq!(cluster(&bootstrap(&resolved), "weaviate")["name"], "weaviate");
    let memory = rendered.plugin.memory.unwrap();
    assert_eq!((memory.ack, memory.spaces.len()), (Ack::Strict, 1));
    let weaviate = memory.weaviate.unwrap();
    assert_eq!(weaviate.target.path, "/base/v1/batch/objects");
    assert_eq!((weaviate.key_env.as_deref(), weaviate.tenants), (Some(WEAVIATE_KEY_ENV), true));
    let variables = |name: &str| match name {
        CONTROL_SECRET_ENV => Some(SECRET.to_owned()),
        ASSERTION_KEY_ENV => Some(SEED.to_owned()),
        WEAVIATE_KEY_ENV => Some("key".to_owned()),
        _ => None,
    };
    let document = serde_json::to_vec(&render(&resolved, &files()).unwrap().plugin).unwrap();
    let policy = compile(&document, &variables).unwrap();
    let weaviate = policy.memory.unwrap().weaviate.unwrap();
    assert_eq!(weaviate.authorization.unwrap().expose(), b"Bearer key");
}

#[test]
fn what_is_embedded_goes_through_control() {
    let environment = [("WEAVIATE_URL", "http://127.0.0.1:6666"), ("MEM_EMBED_MODEL", "nomic-embed-text")];
    let rendered = render(&of(&environment), &files()).unwrap();
    assert_eq!(rendered.plugin.memory.unwrap().weaviate, None);
    assert!(!rendered.bootstrap.contains("name: \"weaviate\""));
}
