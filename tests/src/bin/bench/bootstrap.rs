//! One bootstrap, and what each Envoy has in the place of our filter.

use std::path::{Path, PathBuf};

use attach_tests::gateway::{Builder, Gateway};
use serde_json::json;
use serde_yaml_ng::Value;

use crate::credentials::AUDIENCE;
use crate::failure::{During as _, Failure};
use crate::plugin;
use crate::rows::Variant;
use crate::server::Server;

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
const JWT: &str = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";

/// The bootstrap as rendered.
pub(crate) struct Bootstrap {
    rendered: Value,
    module: PathBuf,
    noop: PathBuf,
    /// The issuer of the tokens and its keys, for `jwt_authn`.
    issuer: String,
    keys: serde_json::Value,
}

/// What no two Envoys share.
pub(crate) struct Place<'a> {
    /// The listener's port.
    pub(crate) port: u16,
    /// The admin interface's.
    pub(crate) admin_port: u16,
    /// The file it logs accesses to.
    pub(crate) access_log: &'a Path,
}

/// So much in a minute that nobody is refused, however fast the driver is.
pub(crate) const TOKENS_PER_MINUTE: u64 = 10_000_000_000;

/// A gateway that is rendered and never started, in a folder that goes when it goes. The bench's server is
/// its engine, its control and its Weaviate.
pub(crate) fn gateway(issuer: &str, server: &Server) -> Gateway {
    Builder::new("bench")
        .set("OIDC_ISSUER", issuer)
        .set("OIDC_AUD", AUDIENCE)
        .set("ENGINE_URL", format!("http://{}", server.engine))
        .set("ENGINE_REWRITE_CHAT", "off")
        .set("CONTROL_PORT", server.control.port())
        .set("MAX_TOKENS_PER_MIN", TOKENS_PER_MINUTE)
        .set("USAGE_METERING", "prometheus")
        .set("WEAVIATE_URL", format!("http://{}", server.weaviate))
        .prepare()
}

impl Bootstrap {
    /// Has it rendered.
    ///
    /// # Errors
    /// When `attach config render` fails, or renders something else than YAML.
    pub(crate) fn render(
        gateway: &Gateway,
        issuer: String,
        keys: serde_json::Value,
        module: PathBuf,
        noop: PathBuf,
    ) -> Result<Self, Failure> {
        let ended = gateway.run(&["config", "render"]);
        if ended.status != 0 {
            return Err(Failure(format!("attach config render: {}", ended.stderr.trim())));
        }
        let rendered = serde_yaml_ng::from_str(&ended.stdout).during("what attach config render wrote")?;
        Ok(Self { rendered, module, noop, issuer, keys })
    }

    /// The gateway's public address.
    ///
    /// # Errors
    /// When the rendered bootstrap is not as expected.
    pub(crate) fn public_url(&self) -> Result<String, Failure> {
        let mut url = Err(Failure("the rendered bootstrap has no wasm filter".into()));
        each_mapping(&mut self.rendered.clone(), &mut |value| {
            if value["typed_config"]["@type"] == WASM {
                url = plugin::public_url(value);
            }
            Ok(())
        })?;
        url
    }

    /// The bootstrap of one Envoy.
    ///
    /// # Errors
    /// When the rendered one is not as expected.
    pub(crate) fn of(&self, variant: Variant, place: &Place<'_>) -> Result<Value, Failure> {
        let mut document = self.rendered.clone();
        set_port(&mut document["admin"]["address"], place.admin_port)?;
        let mut replaced = 0;
        each_mapping(&mut document, &mut |value| {
            if value["@type"] == FILE_LOG {
                value["path"] = text(place.access_log);
            }
            if variant == Variant::BareSilent && value.get("access_log").is_some() {
                value["access_log"] = Value::Sequence(Vec::new());
            }
            replaced += self.replace_filter(variant, value)?;
            Ok(())
        })?;
        let listeners = document["static_resources"]["listeners"].as_sequence_mut();
        match (replaced, listeners.map(Vec::as_mut_slice)) {
            (1, Some([listener])) => set_port(&mut listener["address"], place.port)?,
            (filters, listeners) => {
                let listeners = listeners.map_or(0, |listeners| listeners.len());
                return Err(Failure(format!(
                    "the rendered bootstrap has {listeners} listeners and {filters} wasm filters, not one of each"
                )));
            }
        }
        Ok(document)
    }

    /// Puts what the variant has in the place of our filter, where `value` is what has a list of filters; how
    /// often.
    fn replace_filter(&self, variant: Variant, value: &mut Value) -> Result<usize, Failure> {
        let Some(filters) = value.get_mut("http_filters").and_then(Value::as_sequence_mut) else {
            return Ok(0);
        };
        let Some(at) = filters.iter().position(|filter| filter["typed_config"]["@type"] == WASM) else {
            return Ok(0);
        };
        let mut filter = filters.remove(at);
        match variant {
            Variant::Bare | Variant::BareSilent => return Ok(1),
            Variant::Noop => set_module(&mut filter, &self.noop),
            Variant::Attach | Variant::ChatAll => {
                set_module(&mut filter, &self.module);
                plugin::everything(&mut filter, variant.accounting())?;
            }
            Variant::AttachPlain
            | Variant::Chat
            | Variant::ChatCounted
            | Variant::ChatMemory
            | Variant::ChatCountedMemory => {
                set_module(&mut filter, &self.module);
                plugin::plain(&mut filter, variant.accounting(), variant.remembers())?;
            }
            Variant::NativeCached => filter = self.native(true)?,
            Variant::NativeVerifying => filter = self.native(false)?,
        }
        filters.insert(at, filter);
        Ok(1)
    }

    /// `jwt_authn` doing the like of ours: verify, remove the credential, stamp the subject.
    fn native(&self, cached: bool) -> Result<Value, Failure> {
        let mut provider = json!({
            "issuer": self.issuer,
            "audiences": [AUDIENCE],
            "local_jwks": {"inline_string": self.keys.to_string()},
            "claim_to_headers": [{"header_name": "x-attach-user", "claim_name": "sub"}],
        });
        if cached {
            provider["jwt_cache_config"] = json!({"jwt_cache_size": 1000});
        }
        serde_yaml_ng::to_value(json!({
            "name": "envoy.filters.http.jwt_authn",
            "typed_config": {
                "@type": JWT,
                "providers": {"bench": provider},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
            },
        }))
        .during("jwt_authn's configuration")
    }
}

fn set_module(filter: &mut Value, module: &Path) {
    filter["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] = text(module);
}

fn set_port(address: &mut Value, port: u16) -> Result<(), Failure> {
    let found = address.get_mut("socket_address").and_then(|socket| socket.get_mut("port_value"));
    *found.ok_or_else(|| Failure("the rendered bootstrap has an address without a port".into()))? =
        Value::from(port);
    Ok(())
}

fn text(path: &Path) -> Value {
    Value::from(path.to_string_lossy().into_owned())
}

/// Shows every mapping in a document to `change`, the outer before the inner.
fn each_mapping(
    value: &mut Value,
    change: &mut impl FnMut(&mut Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if value.is_mapping() {
        change(value)?;
    }
    match value {
        Value::Mapping(members) => members.values_mut().try_for_each(|member| each_mapping(member, change)),
        Value::Sequence(elements) => {
            elements.iter_mut().try_for_each(|element| each_mapping(element, change))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 2}}
    filter_chains:
    - filters:
      - typed_config:
          access_log:
          - typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: a
          http_filters:
          - {name: cors}
          - name: attach
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                configuration: {value: '{"public_url":"http://gateway","accounting":{"ledger":true},"memory":{"weaviate":{}},"issuers":[{"jwks":{"keys":{"cluster":"idp_0","path":"/keys"}}}]}'}
                vm_config:
                  code: {local: {filename: attach.wasm}}
                  environment_variables: {host_env_keys: []}
          - {name: router}
"#;

    fn bootstrap() -> Bootstrap {
        Bootstrap {
            rendered: serde_yaml_ng::from_str(RENDERED).unwrap(),
            module: "ours".into(),
            noop: "noop".into(),
            issuer: "http://issuer".into(),
            keys: json!({"keys": []}),
        }
    }

    fn of(variant: Variant) -> Value {
        bootstrap().of(variant, &Place { port: 20, admin_port: 10, access_log: Path::new("b") }).unwrap()
    }

    fn manager(document: &Value) -> &Value {
        &document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    }

    fn names(document: &Value) -> Vec<&str> {
        let filters = manager(document)["http_filters"].as_sequence().unwrap();
        filters.iter().map(|filter| filter["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn envoys_differ_in_the_filter_alone() {
        assert_eq!(names(&of(Variant::Bare)), ["cors", "router"]);
        assert_eq!(names(&of(Variant::NativeCached)), ["cors", "envoy.filters.http.jwt_authn", "router"]);
        for (variant, module) in
            [(Variant::Noop, "noop"), (Variant::Attach, "ours"), (Variant::AttachPlain, "ours")]
        {
            let document = of(variant);
            assert_eq!(names(&document), ["cors", "attach", "router"]);
            let filter = &manager(&document)["http_filters"][1]["typed_config"]["config"];
            assert_eq!(filter["vm_config"]["code"]["local"]["filename"], module);
        }
    }

    #[test]
    fn one_envoy_takes_every_credential_and_one_oidc_alone() {
        let plugin = |variant| -> serde_json::Value {
            let document = of(variant);
            let config = &manager(&document)["http_filters"][1]["typed_config"]["config"];
            serde_json::from_str(config["configuration"]["value"].as_str().unwrap()).unwrap()
        };
        let (all, plain) = (plugin(Variant::Attach), plugin(Variant::AttachPlain));
        for scheme in ["did", "rotagent", "hmac", "httpsig", "gateway_tokens", "assertion"] {
            assert!(all.get(scheme).is_some() && plain.get(scheme).is_none(), "{scheme}");
        }
        assert_eq!(all["rotagent"]["jwks"]["keys"]["cluster"], "idp_0");
        assert_eq!(bootstrap().public_url().unwrap(), "http://gateway");
    }

    #[test]
    fn tokens_are_counted_where_the_row_says_so() {
        let accounting = |variant| -> serde_json::Value {
            let document = of(variant);
            let config = &manager(&document)["http_filters"][1]["typed_config"]["config"];
            let plugin: serde_json::Value =
                serde_json::from_str(config["configuration"]["value"].as_str().unwrap()).unwrap();
            plugin["accounting"].clone()
        };
        assert!(accounting(Variant::Attach).is_null() && accounting(Variant::AttachPlain).is_null());
        for (variant, all) in
            [(Variant::Chat, false), (Variant::ChatAll, false), (Variant::ChatCounted, true)]
        {
            assert_eq!(accounting(variant), json!({"ledger": true, "count_all": all}));
        }
    }

    #[test]
    fn what_is_said_is_remembered_where_the_row_says_so() {
        for (variant, remembers) in [
            (Variant::Attach, false),
            (Variant::Chat, false),
            (Variant::ChatCounted, false),
            (Variant::ChatMemory, true),
            (Variant::ChatCountedMemory, true),
        ] {
            let document = of(variant);
            let config = &manager(&document)["http_filters"][1]["typed_config"]["config"];
            let plugin: serde_json::Value =
                serde_json::from_str(config["configuration"]["value"].as_str().unwrap()).unwrap();
            assert_eq!(plugin["memory"].is_object(), remembers, "{variant:?}");
            assert_eq!(variant.remembers(), remembers);
        }
    }

    #[test]
    fn one_bare_envoy_writes_no_access_log() {
        let log = |variant| manager(&of(variant))["access_log"].as_sequence().unwrap().len();
        assert_eq!((log(Variant::Bare), log(Variant::BareSilent), log(Variant::Chat)), (1, 0, 1));
    }

    #[test]
    fn every_envoy_has_ports_and_an_access_log_of_its_own() {
        let document = of(Variant::Bare);
        assert_eq!(document["admin"]["address"]["socket_address"]["port_value"], 10);
        let listener = &document["static_resources"]["listeners"][0];
        assert_eq!(listener["address"]["socket_address"]["port_value"], 20);
        assert_eq!(manager(&document)["access_log"][0]["typed_config"]["path"], "b");
    }

    #[test]
    fn only_the_cached_row_remembers_tokens() {
        let cache = |variant| {
            let document = of(variant);
            let config = &manager(&document)["http_filters"][1]["typed_config"];
            config["providers"]["bench"].get("jwt_cache_config").is_some()
        };
        assert!(cache(Variant::NativeCached));
        assert!(!cache(Variant::NativeVerifying));
    }
}
