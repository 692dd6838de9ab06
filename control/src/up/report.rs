//! What `attach up` says once everything is ready.

use std::fmt::Write;
use std::net::SocketAddr;

use super::crew::Change;
use super::trial::Trial;
use crate::discover::Resolved;
use crate::settings::Settings;
use crate::supervise::Service;

/// How the person gets a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// One of the dev identity provider's, to be printed as it is.
    Dev(String),
    /// `attach token` can fetch one from the issuer.
    Fetched,
    /// Only the person can: from this issuer, for this audience.
    Foreign {
        /// Whose tokens are accepted.
        issuer: String,
        /// What `aud` must name.
        audience: String,
    },
    /// Nobody issues them: whoever comes in makes them.
    NoIssuer,
}

/// Everything that is said.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where the gateway is reached from this machine.
    pub address: String,
    /// Where its clients reach it.
    pub public_url: String,
    /// Who issues the tokens; empty where nobody does.
    pub issuer: String,
    /// Who else comes in, one line for each way.
    pub others: Vec<String>,
    /// Which engine answers, and why that one.
    pub engine: String,
    /// A model that the engine has, when it told one.
    pub model: Option<String>,
    /// Where a token comes from.
    pub token: Token,
    /// What became of each process.
    pub changes: Vec<(Service, Change)>,
    /// Where the logs are.
    pub logs: String,
    /// What went wrong with the first request.
    pub notice: Option<String>,
    /// How this command was called.
    pub called: Called,
}

/// How a command was called, for the commands that a message proposes.
#[derive(Clone, Debug)]
pub struct Called {
    /// The command, as a word for a shell.
    pub attach: String,
    /// Its flags that name this gateway, each with a blank before it.
    pub flags: String,
}

impl Report {
    /// Tells how the gateway came out.
    #[must_use]
    pub fn new(
        resolved: &Resolved,
        address: SocketAddr,
        trial: Trial,
        changes: &[(Service, Change)],
        called: Called,
    ) -> Self {
        let settings = &resolved.settings;
        let issuers: Vec<_> = resolved.issuers.iter().map(|issuer| issuer.issuer.issuer.as_str()).collect();
        let warning = "the built-in dev identity provider: it trusts everyone, for development only";
        let issuer = match settings.dev_idp {
            true => format!("{}  ({warning})", issuers.join(", ")),
            false => issuers.join(", "),
        };
        Self {
            address: format!("http://{address}"),
            public_url: settings.public_url.clone(),
            issuer,
            others: others(settings),
            engine: format!("{}  ({})", resolved.engine.url, resolved.engine.kind),
            model: trial.model,
            token: trial.token,
            notice: trial.notice,
            changes: changes.to_vec(),
            logs: settings.state_dir.join("logs").display().to_string(),
            called,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Called { attach, flags } = &self.called;
        writeln!(f, "The gateway is ready: {}", self.address)?;
        if self.public_url != self.address {
            writeln!(f, "  clients call    {}", self.public_url)?;
        }
        if !self.issuer.is_empty() {
            writeln!(f, "  tokens from     {}", self.issuer)?;
        }
        for other in &self.others {
            writeln!(f, "  also            {other}")?;
        }
        writeln!(f, "  engine          {}", self.engine)?;
        writeln!(f, "  processes       {}", changes(&self.changes))?;
        writeln!(f, "  logs            {}  ({} logs -f{})", self.logs, attach, flags)?;
        writeln!(f, "  stop            {} down{}", attach, flags)?;
        if let Some(notice) = &self.notice {
            writeln!(f, "  note            {notice}")?;
        }
        writeln!(f)?;
        let token = match &self.token {
            Token::Dev(token) => token.clone(),
            Token::Fetched => format!("$({} token{})", attach, flags),
            Token::Foreign { issuer, audience } => {
                writeln!(
                    f,
                    "Get a token from {issuer} for the audience {audience}, put it into TOKEN, and try:"
                )?;
                "$TOKEN".to_owned()
            }
            Token::NoIssuer => {
                writeln!(
                    f,
                    "Make a token in one of these ways (`attach sign` makes rotagent's), put it into TOKEN, and try:"
                )?;
                "$TOKEN".to_owned()
            }
        };
        if !matches!(self.token, Token::Foreign { .. } | Token::NoIssuer) {
            writeln!(f, "Try it:")?;
        }
        let model = self.model.as_deref().unwrap_or("MODEL");
        // As a person would write it: serde_json would sort the names.
        let body = format!(
            r#"{{"model": {}, "messages": [{{"role": "user", "content": "Say hello"}}], "stream": false}}"#,
            serde_json::Value::from(model)
        );
        writeln!(f, "\ncurl {}/api/chat \\", self.address)?;
        writeln!(f, "  -H \"Authorization: Bearer {token}\" \\")?;
        writeln!(f, "  -H 'Content-Type: application/json' \\")?;
        writeln!(f, "  -d {}", quoted(&body))
    }
}

/// Who comes in besides issuers' users.
fn others(settings: &Settings) -> Vec<String> {
    let mut others = Vec::new();
    others.extend(settings.did_allow.as_ref().map(|allow| format!("DIDs: {}", listed(allow))));
    if let Some(rotagent) = &settings.rotagent {
        others.push(format!("rotagent: keys in {}", rotagent.folder.display()));
    }
    if let Some(hmac) = &settings.hmac {
        let names: Vec<_> = hmac.keys.iter().map(|key| key.name.as_str()).collect();
        others.push(format!("services with shared keys: {}", listed(&names)));
    }
    if let Some(httpsig) = &settings.httpsig {
        let names: Vec<_> = httpsig.directories.iter().map(|directory| directory.name.as_str()).collect();
        others.push(format!("signed HTTP messages: {}", listed(&names)));
    }
    others
}

/// The first few of a list.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 4;
    let mut text = names.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    if names.len() > SHOWN {
        // Writing to a String cannot fail.
        let _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    text
}

fn changes(changes: &[(Service, Change)]) -> String {
    let mut text = String::new();
    for (service, change) in changes {
        let comma = if text.is_empty() { "" } else { ", " };
        let verb = match change {
            Change::Kept => "unchanged",
            Change::Started => "started",
            Change::Restarted => "restarted",
            Change::Stopped => "stopped",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{service} {verb}");
    }
    text
}

/// One word of a shell command, whatever is in it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(token: Token) -> String {
        Report {
            address: "http://127.0.0.1:8080".into(),
            public_url: "http://127.0.0.1:8080".into(),
            issuer: "http://127.0.0.1:8082".into(),
            others: vec!["DIDs: did:key:*".into()],
            engine: "the echo engine".into(),
            model: Some("it's".into()),
            token,
            changes: vec![(Service::Control, Change::Kept), (Service::Envoy, Change::Restarted)],
            logs: "/s/logs".into(),
            notice: None,
            called: Called { attach: "attach".into(), flags: " --port 9".into() },
        }
        .to_string()
    }

    #[test]
    fn a_dev_token_stands_in_the_command() {
        let text = report(Token::Dev("e.y.J".into()));
        assert!(text.contains("\ncurl http://127.0.0.1:8080/api/chat \\\n"), "{text}");
        assert!(text.contains("\"Authorization: Bearer e.y.J\""), "{text}");
        assert!(text.contains(r#""model": "it'\''s","#), "{text}");
        assert!(text.contains("control unchanged, envoy restarted"), "{text}");
        assert!(text.contains("  also            DIDs: did:key:*\n"), "{text}");
        assert!(text.contains("attach down --port 9\n"), "{text}");
    }

    #[test]
    fn a_foreign_issuer_gets_directions_instead_of_a_token() {
        let text = report(Token::Fetched);
        assert!(text.contains("Bearer $(attach token --port 9)\""), "{text}");
        let text = report(Token::Foreign { issuer: "https://i/".into(), audience: "a".into() });
        assert!(text.contains("Get a token from https://i/ for the audience a"), "{text}");
        assert!(text.contains("Bearer $TOKEN\""), "{text}");
    }

    #[test]
    fn without_an_issuer_the_ways_to_come_in_are_told() {
        let text = report(Token::NoIssuer);
        assert!(text.contains("Make a token in one of these ways"), "{text}");
        assert!(text.contains("Bearer $TOKEN\""), "{text}");
        assert_eq!(listed(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_it_otherwise() {
        assert_eq!(quoted("/a/b-c_d.e:1"), "/a/b-c_d.e:1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
        assert_eq!(quoted(""), "''");
    }
}
