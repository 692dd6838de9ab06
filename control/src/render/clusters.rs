//! Whom Envoy may call: the engine, control, OpenMeter, the agents, and one cluster for each host that
//! is asked for keys or tokens.

use std::net::IpAddr;

use serde::Serialize;
use url::{Host, Url};

use crate::discover::Resolved;
use crate::discover::engine::local;
use crate::settings::url_rules::authority;

/// The engine over HTTP/1.1.
pub const ENGINE: &str = "engine";
/// The engine over HTTP/2, for gRPC.
pub const ENGINE_H2: &str = "engine_h2";
/// The control service.
pub const CONTROL: &str = "control";
/// OpenMeter, where usage events go.
pub const OPENMETER: &str = "openmeter";
/// Weaviate, where events go.
pub const WEAVIATE: &str = "weaviate";

/// One upstream, as the template reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Envoy's name for it.
    pub name: String,
    /// A host name or an IP address without brackets.
    pub host: String,
    /// Whether it must be looked up.
    pub dns: bool,
    /// The port.
    pub port: u16,
    /// `Host` as the upstream knows it.
    pub authority: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it speaks HTTP/2.
    pub http2: bool,
    /// Seconds that connecting may take.
    pub connect_seconds: u32,
    /// Seconds after which an idle connection is closed.
    pub idle_seconds: u32,
}

impl Cluster {
    fn to(name: impl Into<String>, url: &Url) -> Self {
        let (host, dns) = match url.host() {
            Some(Host::Domain(name)) => (name.to_owned(), true),
            Some(Host::Ipv4(ip)) => (IpAddr::V4(ip).to_string(), false),
            Some(Host::Ipv6(ip)) => (IpAddr::V6(ip).to_string(), false),
            // The settings let no address without a host through.
            None => (String::new(), true),
        };
        Self {
            name: name.into(),
            host,
            dns,
            port: url.port_or_known_default().unwrap_or_default(),
            authority: authority(url),
            tls: url.scheme() == "https",
            http2: false,
            connect_seconds: 5,
            idle_seconds: 60,
        }
    }

    fn is_for(&self, url: &Url) -> bool {
        *self == Self::to(self.name.clone(), url)
    }
}

/// All clusters.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// The engine over HTTP/1.1.
    pub engine: Cluster,
    /// The engine over HTTP/2.
    pub engine_h2: Cluster,
    /// Control.
    pub control: Cluster,
    /// OpenMeter, where it is told of usage.
    pub openmeter: Option<Cluster>,
    /// Weaviate, where Envoy tells it of events.
    pub weaviate: Option<Cluster>,
    /// `idp_<n>`, one for each scheme, host and port of key sets, discovery documents and token endpoints.
    pub idps: Vec<Cluster>,
    /// `target_<name>`, in the settings' order.
    pub targets: Vec<Cluster>,
}

impl Clusters {
    /// The cluster for an address that keys or tokens come from.
    #[must_use]
    pub fn idp(&self, url: &Url) -> Option<&Cluster> {
        self.idps.iter().find(|cluster| cluster.is_for(url))
    }
}

/// The clusters of a gateway.
#[must_use]
pub fn of(resolved: &Resolved) -> Clusters {
    let settings = &resolved.settings;
    let engine = service(ENGINE, &resolved.engine.url);
    let engine_h2 = Cluster { name: ENGINE_H2.to_owned(), http2: true, idle_seconds: 60, ..engine.clone() };
    let control = Cluster { connect_seconds: 1, ..Cluster::to(CONTROL, &local(settings.ports.control)) };
    let openmeter = settings.accounting.openmeter().map(|openmeter| Cluster::to(OPENMETER, &openmeter.url));
    let weaviate = settings.memory.direct().map(|weaviate| Cluster::to(WEAVIATE, &weaviate.url));
    let issuers = resolved.issuers.iter();
    let asked = issuers.flat_map(|issuer| std::iter::once(&issuer.jwks_url).chain(&issuer.discovery_url));
    let directories = settings.httpsig.iter().flat_map(|httpsig| &httpsig.directories);
    let asked = asked
        .chain(directories.map(|directory| &directory.jwks_url))
        .chain(settings.exchanges.iter().map(|exchange| &exchange.endpoint));
    let mut idps: Vec<Cluster> = Vec::new();
    for url in asked {
        if !idps.iter().any(|cluster| cluster.is_for(url)) {
            idps.push(Cluster::to(format!("idp_{}", idps.len()), url));
        }
    }
    let targets = settings.targets.iter();
    let targets = targets.map(|target| service(&format!("target_{}", target.name), &target.url)).collect();
    Clusters { engine, engine_h2, control, openmeter, weaviate, idps, targets }
}

/// A service that clients' requests go to.
fn service(name: &str, url: &Url) -> Cluster {
    // Python's servers close a connection that was idle for five seconds, and a request that is on its way
    // then is lost. Envoy must be the one to close.
    Cluster { idle_seconds: 4, ..Cluster::to(name, url) }
}
