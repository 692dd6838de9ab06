//! Those without an issuer: signers' directories, orchestrators' keys, agents.

use crate::authorized_keys;
use crate::fetch::Fetcher;
use crate::settings::{Directory, Rotagent, Settings, Target};

use super::{Check, Outcome, check, keys};

/// Looks at every one.
pub(super) async fn checks(settings: &Settings, fetcher: &Fetcher) -> Vec<Check> {
    let mut checks: Vec<Check> = settings.rotagent.iter().map(folder).collect();
    for signer in settings.httpsig.iter().flat_map(|httpsig| &httpsig.directories) {
        checks.push(directory(signer, fetcher).await);
    }
    for agent in &settings.targets {
        checks.push(target(agent, fetcher).await);
    }
    checks
}

fn folder(rotagent: &Rotagent) -> Check {
    let name = "authorised keys";
    let shown = rotagent.folder.display();
    let found = match authorized_keys::read(&rotagent.folder) {
        Ok(found) => found,
        Err(error) => {
            let detail = format!("{shown} cannot be read: {error}; correct AUTHORIZED_KEYS_DIR");
            return check(name, Outcome::Fail, detail);
        }
    };
    let count = found.keys.len();
    match found.refused.first_key_value() {
        Some((file, why)) => {
            let others = found.refused.len();
            let detail = format!("{count} in {shown}, and {others} files that do not count; {file}: {why}");
            check(name, Outcome::Warn, detail)
        }
        None if count == 0 => {
            let detail =
                format!("none in {shown}: nobody comes in by rotagent; `attach keys generate` makes one");
            check(name, Outcome::Warn, detail)
        }
        None => check(name, Outcome::Ok, format!("{count} in {shown}")),
    }
}

/// A signer that is down keeps out only those who sign in its name.
async fn directory(directory: &Directory, fetcher: &Fetcher) -> Check {
    let (name, url) = (format!("signer {}", directory.name), &directory.jwks_url);
    match fetcher.get(url, None).await {
        Ok(answer) if answer.status == 200 => {
            let judged = keys::check(name, &answer.body);
            match judged.outcome {
                Outcome::Fail => Check { outcome: Outcome::Warn, ..judged },
                _ => judged,
            }
        }
        Ok(answer) => {
            let detail = format!("{url} answers {}; correct HTTPSIG_DIRECTORIES", answer.status);
            check(name, Outcome::Warn, detail)
        }
        Err(why) => {
            check(name, Outcome::Warn, format!("{url}: {why}; its signatures are refused until then"))
        }
    }
}

async fn target(target: &Target, fetcher: &Fetcher) -> Check {
    let name = format!("agent {}", target.name);
    match fetcher.get(&target.url, None).await {
        // What it says to a bare `GET` does not matter: somebody is there.
        Ok(answer) => check(name, Outcome::Ok, format!("{} answers {}", target.url, answer.status)),
        Err(why) => {
            check(name, Outcome::Warn, format!("{}: {why}; start it, or correct A2A_TARGETS", target.url))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn of(path: &Path) -> Check {
        folder(&Rotagent { folder: path.to_owned(), user_prefix: "key:".to_owned() })
    }

    #[test]
    fn a_folder_without_keys_and_files_that_do_not_count_are_told() {
        let path = std::env::temp_dir().join(format!("attach-doctor-{}", std::process::id()));
        let empty = of(&path);
        assert_eq!(empty.outcome, Outcome::Warn);
        assert!(empty.detail.contains("attach keys generate"), "{}", empty.detail);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("planner.pem"), "no key").unwrap();
        let odd = of(&path);
        assert_eq!(odd.outcome, Outcome::Warn);
        assert!(odd.detail.contains("planner.pem"), "{}", odd.detail);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
