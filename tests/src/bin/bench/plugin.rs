//! What the filter is configured to accept: the rendered document with every scheme put in, or with OIDC alone.

use serde_json::{Value as Json, json};
use serde_yaml_ng::Value;

use crate::credentials::{AUDIENCE, AUTHORITY, BOT};
use crate::failure::{During as _, Failure};
use crate::keys;

/// What is in the VM's environment.
const VARIABLES: [&str; 3] = ["ATTACH_CONTROL_SECRET", "ATTACH_ASSERTION_KEY", "ATTACH_HMAC_KEYS"];

/// What the filter does about the tokens of model calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accounting {
    /// Nothing.
    Off,
    /// As rendered: a limit by the minute, counters by user and model, a row per call for control.
    On,
    /// The same, and every prompt is counted whatever its length says.
    CountAll,
}

/// The gateway's public address by a rendered bootstrap's filter.
///
/// # Errors
/// When the filter has no document.
pub(crate) fn public_url(filter: &Value) -> Result<String, Failure> {
    let document = read(filter)?;
    let url =
        document["public_url"].as_str().ok_or_else(|| Failure("the filter has no public_url".into()))?;
    Ok(url.to_owned())
}

/// Has the filter accept OIDC alone, and sign nothing; what is said is remembered where `remembers`.
///
/// # Errors
/// When the filter is not as expected.
pub(crate) fn plain(filter: &mut Value, accounting: Accounting, remembers: bool) -> Result<(), Failure> {
    let mut document = read(filter)?;
    account(&mut document, accounting)?;
    remember(&mut document, remembers)?;
    let members = document.as_object_mut().ok_or_else(|| Failure("the filter's document is none".into()))?;
    for name in ["did", "rotagent", "hmac", "httpsig", "gateway_tokens", "assertion"] {
        members.remove(name);
    }
    write(filter, &document)
}

/// Has the filter accept everything and sign an assertion for every upstream. All keys are where the
/// issuer's are.
///
/// # Errors
/// When the filter is not as expected.
pub(crate) fn everything(filter: &mut Value, accounting: Accounting) -> Result<(), Failure> {
    let mut document = read(filter)?;
    account(&mut document, accounting)?;
    remember(&mut document, false)?;
    let target = document["issuers"][0]["jwks"]["keys"].clone();
    if !target.is_object() {
        return Err(Failure("the filter's document has no issuer".into()));
    }
    let jwks = |path: &str, internal: bool| {
        let mut target = target.clone();
        target["path"] = json!(path);
        json!({"keys": target, "internal": internal})
    };
    let audiences = json!([AUDIENCE]);
    document["did"] = json!({"allow": ["*"], "audiences": audiences});
    document["rotagent"] =
        json!({"audiences": audiences, "user_prefix": "key:", "jwks": jwks(keys::AUTHORISED, true)});
    document["hmac"] =
        json!({"audiences": audiences, "user_prefix": "hmac:", "keys_env": "ATTACH_HMAC_KEYS"});
    document["httpsig"] = json!({
        "authorities": [AUTHORITY],
        "directories": [{"name": "bot.example", "agent": BOT, "jwks": jwks(keys::BOT, false)}],
        "user_prefix": "sig:",
        "components": ["@method", "@authority", "@path"],
    });
    document["gateway_tokens"] = json!({"jwks": jwks(keys::GATEWAY, true)});
    document["assertion"] = json!({"key_env": "ATTACH_ASSERTION_KEY"});
    document["replay"] = json!("envoy");
    write(filter, &document)?;
    let config = &mut filter["typed_config"]["config"];
    // A body that is waited for is waited for in the headers already.
    config["allow_on_headers_stop_iteration"] = Value::from(true);
    config["vm_config"]["environment_variables"]["host_env_keys"] =
        Value::Sequence(VARIABLES.into_iter().map(Value::from).collect());
    Ok(())
}

fn account(document: &mut Json, accounting: Accounting) -> Result<(), Failure> {
    let rendered = document.get_mut("accounting").filter(|rendered| rendered.is_object());
    let rendered = rendered.ok_or_else(|| Failure("the filter's document counts no tokens".into()))?;
    match accounting {
        Accounting::Off => *rendered = Json::Null,
        Accounting::On => rendered["count_all"] = json!(false),
        Accounting::CountAll => rendered["count_all"] = json!(true),
    }
    Ok(())
}

fn remember(document: &mut Json, remembers: bool) -> Result<(), Failure> {
    let rendered = document.get_mut("memory").filter(|rendered| rendered["weaviate"].is_object());
    let rendered = rendered.ok_or_else(|| Failure("the filter's document tells no Weaviate".into()))?;
    if !remembers {
        *rendered = Json::Null;
    }
    Ok(())
}

fn read(filter: &Value) -> Result<Json, Failure> {
    let text = filter["typed_config"]["config"]["configuration"]["value"].as_str().unwrap_or_default();
    serde_json::from_str(text).during("the filter's document")
}

fn write(filter: &mut Value, document: &Json) -> Result<(), Failure> {
    filter["typed_config"]["config"]["configuration"]["value"] = Value::from(document.to_string());
    Ok(())
}
