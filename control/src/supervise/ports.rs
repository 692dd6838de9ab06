//! Whether a port can be had, said in terms of the setting that chooses it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// A port that somebody asked for, and by which setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The setting that names the port.
    pub setting: &'static str,
    /// The flag of `attach up` that does the same, where there is one.
    pub flag: Option<&'static str>,
    /// The setting that names the host, where there is one.
    pub host_setting: Option<&'static str>,
}

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody listens there.
    #[error("port {} is in use: set {}", .0.address.port(), how(.0))]
    InUse(Wanted),
    /// Ports below 1024 are the administrator's.
    #[error("port {} needs the administrator's rights: set {} to one above 1023", .0.address.port(), how(.0))]
    Forbidden(Wanted),
    /// No interface has this address.
    #[error("{} is not an address of this machine: set {}", .0.address.ip(), .0.host_setting.unwrap_or("HOST"))]
    NotHere(Wanted),
    /// Anything else.
    #[error("cannot listen on {} ({}): {source}", wanted.address, wanted.setting)]
    Other {
        /// What was asked for.
        wanted: Wanted,
        /// What the system said.
        source: std::io::Error,
    },
}

fn how(wanted: &Wanted) -> String {
    match wanted.flag {
        Some(flag) => format!("{} (or pass {flag})", wanted.setting),
        None => wanted.setting.to_owned(),
    }
}

/// Tries the port by listening on it for an instant.
///
/// Envoy listens with `SO_REUSEPORT`, so a second Envoy would share the port instead of failing; this
/// listener has no such option and finds out.
///
/// # Errors
/// When the port cannot be had.
pub fn require_free(wanted: Wanted) -> Result<(), PortError> {
    match TcpListener::bind(wanted.address) {
        Ok(_) => Ok(()),
        Err(source) => Err(match source.kind() {
            ErrorKind::AddrInUse => PortError::InUse(wanted),
            ErrorKind::PermissionDenied => PortError::Forbidden(wanted),
            ErrorKind::AddrNotAvailable => PortError::NotHere(wanted),
            _ => PortError::Other { wanted, source },
        }),
    }
}

/// Where a listener on this address is reached from this machine.
#[must_use]
pub fn reachable(host: IpAddr, port: u16) -> SocketAddr {
    let host = match host {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(host, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(address: SocketAddr, flag: Option<&'static str>) -> Wanted {
        Wanted { address, setting: "PORT", flag, host_setting: Some("HOST") }
    }

    #[test]
    fn a_taken_port_names_the_setting_and_the_flag() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let port = address.port();
        let text = require_free(wanted(address, Some("--port"))).unwrap_err().to_string();
        assert_eq!(text, format!("port {port} is in use: set PORT (or pass --port)"));
        let text = require_free(wanted(address, None)).unwrap_err().to_string();
        assert_eq!(text, format!("port {port} is in use: set PORT"));
        drop(holder);
        assert!(require_free(wanted(address, None)).is_ok());
    }

    #[test]
    fn a_port_taken_on_every_address_is_taken_on_each() {
        let holder = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = reachable(holder.local_addr().unwrap().ip(), holder.local_addr().unwrap().port());
        assert!(address.ip().is_loopback());
        assert!(matches!(require_free(wanted(address, None)), Err(PortError::InUse(_))));
    }

    #[test]
    fn an_address_of_another_machine_names_host() {
        // RFC 5737: documentation only, so no interface has it.
        let text = require_free(wanted("192.0.2.1:0".parse().unwrap(), None)).unwrap_err().to_string();
        assert_eq!(text, "192.0.2.1 is not an address of this machine: set HOST");
    }
}
