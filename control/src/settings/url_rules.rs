//! What an address must look like before it is used, and how an error may show it.

use std::net::IpAddr;

use url::{Host, Url};

use super::problem::shown;

/// Whether nobody but this machine can answer there.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// An IP address as it stands in a URL.
#[must_use]
pub fn url_host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Reads an absolute `http` or `https` address without user name, password and fragment.
///
/// # Errors
/// One clause that fits behind the setting's name, with the address but never a password in it.
pub fn http(text: &str) -> Result<Url, String> {
    let shown = shown_without_userinfo(text);
    // The parser would drop tabs and line ends and turn '\' into '/': what is used must be what was written.
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err(format!("{shown} has a space or a sign that cannot stand in an address"));
    }
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(format!("{shown} must begin with https:// or http://"));
    }
    let url = Url::parse(text).map_err(|error| format!("{shown} is not an address ({error})"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("{shown} names no host"));
    }
    // The parser lets more through than any name server would: '*' among them.
    if let Some(Host::Domain(name)) = url.host()
        && !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        return Err(format!("{shown} has a host that is no host name"));
    }
    let authority = text.split('/').nth(2).unwrap_or_default();
    if authority.ends_with(':') {
        return Err(format!("{shown} has a ':' without a port behind it"));
    }
    if url.port() == Some(0) {
        return Err(format!("{shown} has port 0; write 1 to 65535"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{shown} must not hold a user name or password"));
    }
    if url.fragment().is_some() {
        return Err(format!("{shown} must not have a fragment; remove everything from '#' on"));
    }
    Ok(url)
}

/// As [`http`], and plain `http` only to this machine: what decides who a caller is must not come over an
/// open line.
///
/// # Errors
/// As [`http`].
pub fn trusted(text: &str) -> Result<Url, String> {
    let url = http(text)?;
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err(format!("{} must be https (http is for this machine alone)", shown(text)));
    }
    Ok(url)
}

/// As [`http`], for a service that clients' paths are put behind: no query, a plain path, and no `/` at the end
/// of one.
///
/// # Errors
/// As [`http`].
pub fn upstream(text: &str) -> Result<Url, String> {
    let mut url = http(text)?;
    if url.query().is_some() {
        return Err(format!("{} must not have a query; remove everything from '?' on", shown(text)));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.contains('%') || path.contains("//") {
        return Err(format!("{} must have a plain path, without '%' and '//'", shown(text)));
    }
    url.set_path(&path);
    Ok(url)
}

/// Host and, where it is not the scheme's own, port.
#[must_use]
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn shown_without_userinfo(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => shown(&format!("…@{rest}")),
        None => shown(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_or_refused_for_what_they_are() {
        for (text, http_ok, trusted_ok) in [
            ("https://idp.example.com/", true, true),
            ("https://idp.example.com:8443/realms/a?x=1", true, true),
            ("http://idp.example.com", true, false),
            ("http://127.0.0.1:8082", true, true),
            ("http://127.1.2.3", true, true),
            ("http://[::1]:8082", true, true),
            ("http://localhost:8082", true, true),
            ("http://a.localhost", true, true),
            ("http://localhost.example.com", true, false),
            ("http://127.0.0.1.example.com", true, false),
            ("ftp://example.com", false, false),
            ("example.com", false, false),
            ("https://", false, false),
            ("https://*.example.com", false, false),
            ("https://a'b.example.com", false, false),
            ("https://user:pw@example.com", false, false),
            ("https://example.com/#x", false, false),
            ("https://example.com/a b", false, false),
            ("https:\\\\example.com", false, false),
            ("https://example.com:0", false, false),
            ("https://example.com:/x", false, false),
            ("https://example.com:", false, false),
            ("https://example.com:99999", false, false),
        ] {
            assert_eq!(http(text).is_ok(), http_ok, "{text}");
            assert_eq!(trusted(text).is_ok(), trusted_ok, "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let message = http("https://me:hunter2@example.com").unwrap_err();
        assert!(!message.contains("hunter2") && message.contains("example.com"), "{message}");
    }
}
