//! Addresses on this machine, and the issuer that stands on one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use url::{Host, Url};

/// Whether `host` is this machine and nothing else, by its spelling alone: no name is looked up but
/// `localhost`, which RFC 6761 keeps for this.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.eq_ignore_ascii_case("localhost")
        }
    }
}

/// A loopback address to listen on; no value of this type reaches beyond the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackHost(IpAddr);

/// An address was not a loopback address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the development identity provider trusts everyone and so listens on loopback only: use 127.0.0.1, ::1 or \
     localhost, and a real identity provider (OIDC_ISSUER) for anything that others can reach"
)]
pub struct NotLoopback;

impl LoopbackHost {
    /// 127.0.0.1.
    pub const V4: LoopbackHost = LoopbackHost(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

impl FromStr for LoopbackHost {
    type Err = NotLoopback;

    fn from_str(text: &str) -> Result<LoopbackHost, NotLoopback> {
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(LoopbackHost::V4);
        }
        match text.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => Ok(LoopbackHost(ip)),
            _ => Err(NotLoopback),
        }
    }
}

/// The issuer: the URL that tokens carry as `iss`, as it was written, and that the endpoints stand under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    host: String,
}

/// A text cannot be this provider's issuer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an issuer here is an http or https URL of a host and a port alone, such as http://127.0.0.1:8082")]
pub struct NotAnIssuer;

impl Issuer {
    /// The issuer of a provider that listens on `address`.
    pub fn at(address: SocketAddr) -> Issuer {
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Issuer { text: format!("http://{host}:{}", address.port()), host }
    }

    /// As tokens carry it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL of one of the endpoints; `path` begins with a slash.
    pub(super) fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.text.trim_end_matches('/'))
    }

    /// Whether a client that knows this issuer may write `host` into `Host`.
    pub(super) fn is_host(&self, host: &Host<&str>) -> bool {
        host.to_string().eq_ignore_ascii_case(&self.host)
    }
}

impl FromStr for Issuer {
    type Err = NotAnIssuer;

    /// A path is refused: the well-known documents of an issuer with a path stand elsewhere, and nothing here
    /// would serve them.
    fn from_str(text: &str) -> Result<Issuer, NotAnIssuer> {
        let url = Url::parse(text).map_err(|_| NotAnIssuer)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        // As written, but for one final slash: what a comparison by bytes would stumble over is refused.
        let as_written = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
        match url.host_str() {
            Some(host) if plain && as_written => Ok(Issuer { text: text.to_owned(), host: host.to_owned() }),
            _ => Err(NotAnIssuer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_taken() {
        for text in ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"] {
            assert!(text.parse::<LoopbackHost>().is_ok(), "{text}");
        }
    }

    #[test]
    fn any_other_bind_is_refused_with_a_sentence_that_says_what_to_do() {
        for text in
            ["0.0.0.0", "::", "192.168.1.2", "example.com", "localhost.example.com", "", "::ffff:127.0.0.1"]
        {
            let error = text.parse::<LoopbackHost>().unwrap_err();
            assert!(error.to_string().contains("127.0.0.1"), "{text}");
        }
    }

    #[test]
    fn an_issuer_keeps_its_spelling_and_its_endpoints_have_one_slash() {
        for text in ["http://127.0.0.1:8082", "http://127.0.0.1:8082/", "https://idp.example"] {
            let issuer: Issuer = text.parse().unwrap();
            assert_eq!(issuer.as_str(), text);
            assert_eq!(issuer.endpoint("/jwks.json"), format!("{}/jwks.json", text.trim_end_matches('/')));
        }
    }

    #[test]
    fn an_issuer_with_more_than_a_host_and_a_port_is_refused() {
        for text in [
            "http://h/realm",
            "http://h/?q",
            "http://h/#f",
            "http://u@h",
            "ftp://h",
            "h",
            "http://H",
            "http://h:80",
        ] {
            assert!(text.parse::<Issuer>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_issuer_is_the_address() {
        assert_eq!(Issuer::at("[::1]:9".parse().unwrap()).as_str(), "http://[::1]:9");
        let url = Url::parse("http://[::1]:1/").unwrap();
        assert!(Issuer::at("[::1]:9".parse().unwrap()).is_host(&url.host().unwrap()));
    }
}
