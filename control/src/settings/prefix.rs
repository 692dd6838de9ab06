//! Prefixes keep the users of different issuers apart, since ownership, quota and session hang on the
//! stamped user. Which prefixes can be told apart is the filter's rule, and stands there; here it gets the
//! operator's name for each.

use attach_core::config::compile::prefix_problems;

use super::Issuer;
use super::problem::Findings;

/// Checks the prefixes of all issuers; the first one's is empty by construction.
pub(crate) fn check(issuers: &[Issuer], findings: &mut Findings) {
    let prefixes: Vec<&str> = issuers.iter().map(|issuer| issuer.user_prefix.as_str()).collect();
    for (at, problem) in prefix_problems(&prefixes) {
        if let Some(issuer) = issuers.get(at) {
            findings.problem(issuer.setting.replace(".issuer", ".user_prefix"), problem);
        }
    }
}
