//! The services behind `/agents/{name}/…`, and who acts as which.

use super::Checker;
use crate::settings::problem::shown;
use crate::settings::{Agent, Ports, Target, rules, url_rules};

/// The most targets; each is a cluster and two routes.
const MAX_TARGETS: usize = 64;
/// The most agents.
const MAX_AGENTS: usize = 256;
/// Whom the gateway's statements name besides targets: a target of that name could pass for them.
const TAKEN: &[&str] = &["engine", "control"];

impl Checker {
    pub(super) fn targets(&mut self, ports: &Ports) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        let parts = self.parts("A2A_TARGETS");
        if parts.len() > MAX_TARGETS {
            self.problem("A2A_TARGETS", format!("has {} entries; {MAX_TARGETS} are the most", parts.len()));
        }
        for part in parts {
            match target(&part) {
                Ok(target) => {
                    if targets.iter().any(|earlier| earlier.name == target.name) {
                        self.problem("A2A_TARGETS", format!("has {} twice", shown(&target.name)));
                    }
                    self.is_not_the_gateway("A2A_TARGETS", Some(&target.url), ports);
                    targets.push(target);
                }
                Err(message) => self.problem("A2A_TARGETS", message),
            }
        }
        targets
    }

    pub(super) fn agents(&mut self, targets: &[Target]) -> Vec<Agent> {
        let mut agents: Vec<Agent> = Vec::new();
        let parts = self.parts("A2A_AGENTS");
        if parts.len() > MAX_AGENTS {
            self.problem("A2A_AGENTS", format!("has {} entries; {MAX_AGENTS} are the most", parts.len()));
        }
        for part in parts {
            let (target, identity) = match part.split_once('=') {
                Some((target, identity)) if !identity.trim().is_empty() => (target.trim(), identity.trim()),
                _ => {
                    let message =
                        format!("{} must be target=identity, for example planner=key:planner", shown(&part));
                    self.problem("A2A_AGENTS", message);
                    continue;
                }
            };
            if identity.len() > 512 || identity.chars().any(char::is_control) {
                self.problem("A2A_AGENTS", format!("{} is no identity", shown(identity)));
            }
            if !targets.iter().any(|known| known.name == target) && !self.has_problem("A2A_TARGETS") {
                let message = format!("{} is no target; put it into A2A_TARGETS too", shown(target));
                self.problem("A2A_AGENTS", message);
            }
            // What is addressed to one of them must be nobody else's.
            for (earlier, text) in
                agents.iter().flat_map(|agent| [(&agent.identity, identity), (&agent.target, target)])
            {
                if earlier == text {
                    let message =
                        format!("has {} twice; an agent is one target, and a target one agent", shown(text));
                    self.problem("A2A_AGENTS", message);
                }
            }
            agents.push(Agent { target: target.to_owned(), identity: identity.to_owned() });
        }
        agents
    }
}

/// `name=http(s)://host[/path]`.
fn target(text: &str) -> Result<Target, String> {
    let Some((name, address)) = text.split_once('=') else {
        return Err("must be name=http://HOST:PORT, several with commas between them".to_owned());
    };
    let (name, address) = (name.trim(), address.trim());
    rules::segment(name)?;
    if TAKEN.contains(&name) {
        return Err(format!("{} means a part of the gateway; give the target another name", shown(name)));
    }
    if address.starts_with("temporal://") {
        return Err(format!("{} is a workflow, which this version cannot call; remove it", shown(address)));
    }
    Ok(Target { name: name.to_owned(), url: url_rules::upstream(address)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_name_that_is_one_segment_and_an_address() {
        for (text, url) in [
            ("planner=http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
            ("ab-c_1=https://agents.example/planner/", "https://agents.example/planner"),
        ] {
            assert_eq!(target(text).unwrap().url.as_str(), url);
        }
        for bad in [
            "planner",
            "=http://a.example",
            "a/b=http://a.example",
            "..=http://a.example",
            "engine=http://a.example",
            "control=http://a.example",
            "planner=a.example",
            "planner=http://a.example/?x",
            "planner=http://a.example/%2f",
            "planner=temporal://PlannerWorkflow",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
        assert!(target("a=temporal://W").unwrap_err().contains("temporal"));
    }
}
