//! What concerns those who are told what calls did cost.

use super::{Errors, check_target, target};
use crate::config::PluginConfig;
use crate::meter::delivery::Route;
use crate::policy::metering::{Metering, OpenMeter};
use crate::secret::Secret;

/// The most series: every worker keeps a list of them, and a new one makes it be written anew.
const MAX_SERIES: u32 = 20_000;

pub(super) fn of(
    config: &PluginConfig,
    secret: &dyn Fn(&str) -> Option<String>,
    errors: &mut Errors,
) -> Metering {
    let Some(accounting) = &config.accounting else { return Metering::default() };
    if accounting.usage_metrics && !(2..=MAX_SERIES).contains(&accounting.max_series) {
        errors.add("accounting.max_series", format!("must be from 2 to {MAX_SERIES}"));
    }
    let route = Route { openmeter: accounting.openmeter.is_some(), ledger: accounting.ledger };
    if route.is_on() && config.control.target.is_none() {
        errors.add(
            "control.target",
            "is needed where calls are recorded: control keeps what others do not take",
        );
    }
    let openmeter = accounting.openmeter.as_ref().and_then(|openmeter| {
        check_target("accounting.openmeter.target", &openmeter.target, errors);
        let name = &openmeter.key_env;
        match secret(name) {
            Some(key) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()) => Some(OpenMeter {
                target: target(&openmeter.target),
                authorization: Secret::new(format!("Bearer {key}").into_bytes()),
            }),
            _ => {
                errors.add(
                    "accounting.openmeter.key_env",
                    format!("the VM's environment variable {name} holds no key: set OPENMETER_API_KEY"),
                );
                None
            }
        }
    });
    Metering {
        route,
        openmeter,
        max_series: if accounting.usage_metrics { accounting.max_series } else { 0 },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::compile::{SECRET_CHARS, compile};
    use crate::policy::metering::Metering;

    fn metering(accounting: &Value, has_control: bool) -> Result<Metering, Vec<String>> {
        let place = |cluster: &str, path: &str| json!({"cluster": cluster, "scheme": "http", "authority": "127.0.0.1:1", "path": path});
        let mut document = json!({
            "version": 1,
            "public_url": "http://localhost:8080",
            "did": {"allow": ["*"], "audiences": ["api"]},
            "control": {"secret_env": "SECRET"},
            "accounting": accounting,
        });
        if has_control {
            document["control"]["target"] = place("control", "/");
        }
        if let Some(openmeter) = document["accounting"].get_mut("openmeter") {
            openmeter["target"] = place("openmeter", "/api/v1/events");
        }
        let secret = |name: &str| match name {
            "SECRET" => Some("ab".repeat(SECRET_CHARS / 2)),
            "KEY" => Some("key".to_owned()),
            "BROKEN" => Some("a b".to_owned()),
            _ => None,
        };
        compile(document.to_string().as_bytes(), &secret)
            .map(|policy| policy.metering)
            .map_err(|errors| errors.into_iter().map(|error| error.path).collect())
    }

    #[test]
    fn what_nobody_asked_for_is_off() {
        assert_eq!(metering(&Value::Null, false), Ok(Metering::default()));
        assert_eq!(metering(&json!({}), false), Ok(Metering::default()));
    }

    #[test]
    fn whoever_is_to_be_told_must_be_reachable() {
        for (accounting, has_control, expected) in [
            (json!({"ledger": true}), false, "control.target"),
            (json!({"openmeter": {"key_env": "KEY"}}), false, "control.target"),
            (json!({"openmeter": {"key_env": "NONE"}}), true, "accounting.openmeter.key_env"),
            (json!({"openmeter": {"key_env": "BROKEN"}}), true, "accounting.openmeter.key_env"),
            (json!({"usage_metrics": true, "max_series": 1}), true, "accounting.max_series"),
            (json!({"usage_metrics": true, "max_series": 20_001}), true, "accounting.max_series"),
        ] {
            assert_eq!(metering(&accounting, has_control), Err(vec![expected.to_owned()]), "{accounting}");
        }
    }

    #[test]
    fn the_key_is_openmeters_and_nobody_sees_it() {
        let metering =
            metering(&json!({"openmeter": {"key_env": "KEY"}, "usage_metrics": true}), true).unwrap();
        let openmeter = metering.openmeter.clone().unwrap();
        assert_eq!(openmeter.authorization.expose(), b"Bearer key");
        assert_eq!(metering.max_series, 5_000);
        assert!(metering.route.openmeter && !metering.route.ledger);
        assert!(!format!("{metering:?}").contains("key\""));
    }
}
