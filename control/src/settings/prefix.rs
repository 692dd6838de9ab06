//! Prefixes keep the users of different sources apart, since ownership, quota and session hang on the
//! stamped user. Which prefixes can be told apart is the filter's rule, and stands there; here it gets the
//! operator's name for each.

use attach_core::config::compile::prefix_problems;

use super::Issuer;
use super::problem::Findings;

/// The prefixes of the sources that are no issuer of the operator's list (`prefixes:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefixes {
    pub(crate) rotagent: String,
    pub(crate) hmac: String,
    pub(crate) httpsig: String,
    /// Of the Descope issuer, where it is not the first one.
    pub(crate) descope: String,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self {
            rotagent: "key:".to_owned(),
            hmac: "hmac:".to_owned(),
            httpsig: "sig:".to_owned(),
            descope: "descope|".to_owned(),
        }
    }
}

/// Checks the prefixes of all issuers and of the other sources that are on. Only the first issuer has none.
pub(crate) fn check(issuers: &[Issuer], others: &[(&str, &str)], findings: &mut Findings) {
    // The first place is the first issuer's, whether there is one or not.
    let first = issuers.first().map(|issuer| issuer.user_prefix.as_str());
    let mut all = vec![("OIDC_ISSUER".to_owned(), first)];
    all.extend(issuers.iter().skip(1).map(|issuer| (setting(issuer), Some(issuer.user_prefix.as_str()))));
    all.extend(others.iter().map(|(setting, prefix)| ((*setting).to_owned(), Some(*prefix))));
    let prefixes: Vec<Option<&str>> = all.iter().map(|(_, prefix)| *prefix).collect();
    for (at, problem) in prefix_problems(&prefixes) {
        if let Some((setting, _)) = all.get(at) {
            findings.problem(setting.clone(), problem);
        }
    }
}

/// What sets an issuer's prefix.
fn setting(issuer: &Issuer) -> String {
    match issuer.setting.strip_suffix(".issuer") {
        Some(entry) => format!("{entry}.user_prefix"),
        None => "prefixes.descope".to_owned(),
    }
}
