//! Every name `attach` knows: those of this version, those that come later, and what is nearly one of them.

/// The settings of this version.
pub const KNOWN: &[&str] = &[
    "OIDC_ISSUER",
    "OIDC_AUD",
    "OIDC_JWKS_URL",
    "AUTH_BACKEND",
    "AUTH_METHODS",
    "AUTH_MODE",
    "REQUIRED_SCOPES",
    "DID_ALLOW",
    "AUTHORIZED_KEYS_DIR",
    "APP_ENV",
    "DEV_PRIVATE_KEY",
    "HMAC_KEYS",
    "HTTPSIG_DIRECTORIES",
    "HTTPSIG_AUTHORITIES",
    "DESCOPE_BASE_URL",
    "DESCOPE_PROJECT_ID",
    "DESCOPE_JWKS_URL",
    "DESCOPE_AUD",
    "ENABLE_DESCOPE_EXCHANGE",
    "DESCOPE_CLIENT_ID",
    "DESCOPE_CLIENT_SECRET",
    "REDIS_URL",
    "MAX_TOKENS_PER_MIN",
    "WINDOW",
    "QUOTA_ENCODING",
    "MAX_REQUEST_BYTES",
    "QUOTA_DEFAULT_OUTPUT",
    "QUOTA_CONSISTENCY",
    "QUOTA_FAILURE_MODE",
    "USAGE_INJECTION",
    "USAGE_METERING",
    "USAGE_BACKEND",
    "OPENMETER_API_KEY",
    "OPENMETER_URL",
    "METRICS_SCOPE",
    "MEM_BACKEND",
    "WEAVIATE_URL",
    "WEAVIATE_API_KEY",
    "WEAVIATE_TENANCY",
    "MEM_MAX_BYTES",
    "MEM_ACK",
    "MEM_ACK_TIMEOUT",
    "MEM_SPACES",
    "MEM_EMBED_MODEL",
    "MEM_RETENTION_DAYS",
    "REDACT_NATIONAL_IDS",
    "QUOTA_COUNT_ALL",
    "USAGE_HEADERS",
    "LOG_USAGE",
    "A2A_TARGETS",
    "A2A_AGENTS",
    "AUTH0_DOMAIN",
    "AUTH0_CLIENT",
    "AUTH0_SECRET",
    "ENGINE_URL",
    "ENGINE_API_KEY",
    "ENGINE_REWRITE_CHAT",
    "HOST",
    "PORT",
    "LOG_LEVEL",
    "PUBLIC_URL",
    "CONTROL_PORT",
    "ADMIN_PORT",
    "IDP_PORT",
    "ECHO_PORT",
    "CORS_ORIGINS",
    "ENVOY_BIN",
    "ENVOY_CONCURRENCY",
    "SSL_CERT_FILE",
    "ATTACH_CONFIG",
];

/// Never shown, not even when they are wrong.
pub const SECRET: &[&str] = &[
    "ENGINE_API_KEY",
    "AUTH0_SECRET",
    "DESCOPE_CLIENT_SECRET",
    "OPENMETER_API_KEY",
    "WEAVIATE_API_KEY",
    "DEV_PRIVATE_KEY",
    "HMAC_KEYS",
    "REDIS_URL",
    "DATABASE_URL",
];

/// A setting that this version does not have. The gateway is as safe without it, so it is only mentioned.
#[derive(Clone, Copy, Debug)]
pub struct Later {
    /// Its name.
    pub name: &'static str,
    /// Values that ask for nothing, so that they need no word.
    pub inert: &'static [&'static str],
}

const fn notice(name: &'static str, inert: &'static [&'static str]) -> Later {
    Later { name, inert }
}

/// The settings of later versions.
pub const LATER: &[Later] = &[
    notice("TEMPORAL_URL", &[]),
    notice("TEMPORAL_QUEUE", &[]),
    notice("TEMPORAL_WORKFLOWS", &[]),
    notice("A2A_PUSH_ALLOW", &[]),
    notice("GATEWAY_URL", &[]),
    notice("TASK_MAX_AGE", &[]),
    notice("DATABASE_URL", &[]),
];

/// Names so common in a process's environment that finding them there says nothing about the gateway.
/// In an env file they are meant.
pub const AMBIENT: &[&str] = &["DATABASE_URL", "GATEWAY_URL"];

/// Settings whose empty value says something; everywhere else it counts as "not set".
pub const EMPTY_COUNTS: &[&str] = &["METRICS_SCOPE"];

/// Whether a variable of the environment is another program's: GNU screen, which sets `STY` too, puts its
/// window's number into `WINDOW`. `has` tells whether a variable is there.
#[must_use]
pub fn is_of_another(name: &str, has: impl Fn(&str) -> bool) -> bool {
    name == "WINDOW" && has("STY")
}

/// The known or later name that an unknown one probably means, at most two edits away.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    if KNOWN.contains(&name) || LATER.iter().any(|later| later.name == name) {
        return None;
    }
    nearest_of(name, KNOWN.iter().copied().chain(LATER.iter().map(|later| later.name)))
}

/// The one of some names that another probably means, at most two edits away.
pub fn nearest_of(name: &str, all: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    // Two edits turn any three letters into a short name: those must be nearer.
    all.into_iter()
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= if known.len() <= 5 { 1 } else { 2 })
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance in bytes, regardless of case.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.bytes().zip(row.iter().copied().skip(1)) {
            let changed = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            left = changed.min(above + 1).min(left + 1);
            next.push(left);
            diagonal = above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_one_it_means() {
        for (name, expected) in [
            ("OIDC_ISUER", Some("OIDC_ISSUER")),
            ("ODIC_AUD", Some("OIDC_AUD")),
            ("ENGINEURL", Some("ENGINE_URL")),
            ("engine_url", Some("ENGINE_URL")),
            ("PROT", None),
            ("PORTS", Some("PORT")),
            ("HOME", None),
            ("SOMETHING_ELSE", None),
            ("OIDC_ISSUER", None),
            ("MEM_BACKEND", None),
        ] {
            assert_eq!(nearest(name), expected, "{name}");
        }
    }

    #[test]
    fn no_name_stands_in_two_lists() {
        let mut all: Vec<_> = KNOWN.iter().copied().chain(LATER.iter().map(|l| l.name)).collect();
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
    }
}
