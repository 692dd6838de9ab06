//! Addresses: where the gateway listens, where the engine is, whose pages may call.

use std::net::{IpAddr, Ipv4Addr};

use url::{Origin, Url};

use super::{Checker, DEFAULT_PORT};
use crate::settings::problem::shown;
use crate::settings::{Engine, Ports, RewriteChat, url_rules};

impl Checker {
    pub(super) fn host(&mut self, dev_idp: bool) -> IpAddr {
        let default = if dev_idp { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED }.into();
        let host = self.parse("HOST", |text| {
            if text == "localhost" {
                return Ok(Ipv4Addr::LOCALHOST.into());
            }
            text.parse::<IpAddr>().map_err(|_| {
                format!(
                    "{} must be an IP address of this machine, for example 127.0.0.1 or 0.0.0.0",
                    shown(text)
                )
            })
        });
        match host {
            Some(host) if dev_idp && !host.is_loopback() => {
                self.problem(
                    "HOST",
                    format!(
                        "\"{host}\" would open the dev identity provider's gateway to others, and it gives anyone a token; set OIDC_ISSUER and OIDC_AUD, leave oidc out of AUTH_METHODS, or use 127.0.0.1"
                    ),
                );
                default
            }
            host => host.unwrap_or(default),
        }
    }

    /// All ports, of which those in use differ.
    pub(super) fn ports(&mut self, dev_idp: bool, echo: bool) -> Ports {
        let mut port = |name, default| self.number(name, 1..=u16::MAX).unwrap_or(default);
        let ports = Ports {
            gateway: port("PORT", DEFAULT_PORT),
            admin: port("ADMIN_PORT", 9901),
            control: port("CONTROL_PORT", 8081),
            idp: port("IDP_PORT", 8082),
            echo: port("ECHO_PORT", 8083),
        };
        let mut seen: Vec<(&'static str, u16)> = Vec::new();
        for (name, port, used) in [
            ("PORT", ports.gateway, true),
            ("ADMIN_PORT", ports.admin, true),
            ("CONTROL_PORT", ports.control, true),
            ("IDP_PORT", ports.idp, dev_idp),
            ("ECHO_PORT", ports.echo, echo),
        ] {
            if !used {
                continue;
            }
            if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == port) {
                let other = self.label(other);
                self.problem(name, format!("{port} is {other}'s port too; give each its own"));
            }
            seen.push((name, port));
        }
        ports
    }

    pub(super) fn engine(&mut self) -> Engine {
        let mut shortened = None;
        let url = self.parse("ENGINE_URL", |text| {
            let mut url = url_rules::upstream(text)?;
            let path = url.path().trim_end_matches('/').to_owned();
            let base = path.strip_suffix("/v1").unwrap_or(&path);
            if base.len() < path.len() {
                shortened = Some(format!(
                    "{}: its final /v1 is left out, since clients send it themselves",
                    shown(text)
                ));
            }
            url.set_path(base);
            Ok(url)
        });
        if let Some(notice) = shortened {
            self.findings.notice(format!("ENGINE_URL {notice}"));
        }
        let rewrite_chat =
            self.parse("ENGINE_REWRITE_CHAT", |text| match text.to_ascii_lowercase().as_str() {
                "auto" => Ok(RewriteChat::Auto),
                "on" => Ok(RewriteChat::On),
                "off" => Ok(RewriteChat::Off),
                _ => Err(format!("{} must be auto, on or off", shown(text))),
            });
        Engine { url, api_key: self.secret("ENGINE_API_KEY"), rewrite_chat: rewrite_chat.unwrap_or_default() }
    }

    /// An upstream behind one of the gateway's own doors would be a loop, or hand Envoy's admin interface to users.
    pub(super) fn is_not_the_gateway(&mut self, setting: &'static str, url: Option<&Url>, ports: &Ports) {
        let Some(url) = url.filter(|url| url_rules::is_loopback(url)) else { return };
        for (name, port) in
            [("PORT", ports.gateway), ("ADMIN_PORT", ports.admin), ("CONTROL_PORT", ports.control)]
        {
            if url.port_or_known_default() == Some(port) {
                let name = self.label(name);
                self.problem(
                    setting,
                    format!(
                        "{} is the gateway itself ({name} is {port}); name the service's own address",
                        shown(url.as_str())
                    ),
                );
            }
        }
    }

    pub(super) fn public_url(&mut self, host: IpAddr, port: u16) -> String {
        let set = self.parse("PUBLIC_URL", |text| {
            let url = url_rules::http(text)?;
            if url.path() != "/" || url.query().is_some() {
                return Err(format!(
                    "{} must be scheme, host and port alone, for example https://gateway.example.com",
                    shown(text)
                ));
            }
            Ok(url.origin().ascii_serialization())
        });
        set.unwrap_or_else(|| {
            let host = if host.is_unspecified() { "localhost".to_owned() } else { url_rules::url_host(host) };
            format!("http://{host}:{port}")
        })
    }

    pub(super) fn cors_origins(&mut self) -> Vec<String> {
        let Some(text) = self.text("CORS_ORIGINS") else {
            return vec!["http://localhost:9000".to_owned(), "http://127.0.0.1:9000".to_owned()];
        };
        if text.eq_ignore_ascii_case("none") {
            return Vec::new();
        }
        let mut origins = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match url_rules::http(part).map(|url| (url.origin(), url)) {
                Ok((origin @ Origin::Tuple(..), url)) if url.path() == "/" && url.query().is_none() => {
                    origins.push(origin.ascii_serialization());
                }
                _ => self.problem(
                    "CORS_ORIGINS",
                    format!(
                        "{} must be an exact origin such as https://app.example.com (several with commas; none turns CORS off)",
                        shown(part)
                    ),
                ),
            }
        }
        origins
    }
}
