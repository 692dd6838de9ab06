//! What a request's headers say about what it will cost, read before they go.

use crate::clock::UnixMillis;
use crate::headers::{Pairs, RequestHead, content_length, is_attach};
use crate::llm::shape::{self, Shape};
use crate::meter::DEFAULT_PROJECT;
use crate::policy::accounting::RouteTokens;
use crate::policy::route::Destination;
use crate::policy::{Policy, RoutePolicy};

/// The longest name of a project, in bytes.
const MAX_PROJECT_BYTES: usize = 64;
/// The longest request id that is remembered, in bytes: Envoy's own have 36.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What kind of exchange follows the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stream) enum Kind {
    /// A model call, and what its path says.
    Call(shape::Call),
    /// Something without an end or in a form that is not read: an upgrade, or gRPC.
    Opaque,
    /// A model call that says that it is an upgrade: engines answer it as if it did not.
    Disguised,
}

/// What is read.
#[derive(Clone, Debug)]
pub(in crate::stream) struct CallHead {
    pub(super) kind: Kind,
    /// When the request was let in; 0 until then.
    pub(super) started: UnixMillis,
    /// What `X-Attach-Project` says, if it can be a label.
    pub(super) project: Box<str>,
    pub(super) request_id: Box<str>,
    pub(super) content_length: Option<u64>,
    /// Whether the body is in a coding that is not read.
    pub(super) is_encoded: bool,
    /// Whether somebody vouches for the body as it is to whoever gets it.
    pub(super) is_bound: bool,
    /// Whether an answer in another coding would be welcome.
    pub(super) accepts_coding: bool,
    /// Whether `X-Attach-Memory: off` keeps it out of memory.
    pub(super) is_forgotten: bool,
}

impl CallHead {
    /// Reads them; `None`: nothing that costs tokens.
    pub(in crate::stream) fn read(
        policy: &Policy,
        route: RoutePolicy,
        head: &RequestHead<'_>,
        pairs: &Pairs,
        path: &str,
    ) -> Option<Self> {
        let accounting = policy.accounting.as_ref()?;
        if route.to != Destination::Engine {
            return None;
        }
        let tokens = route_tokens(policy, route);
        let counted = tokens.and_then(|tokens| tokens.count);
        let is_grpc = || {
            pairs.iter().any(|(name, value)| name == "content-type" && value.starts_with(b"application/grpc"))
        };
        let method = core::str::from_utf8(head.method).unwrap_or_default();
        let is_post = method.eq_ignore_ascii_case("POST");
        // Where Envoy rewrites it, the engine reads it as another.
        let is_rewritten = accounting.chat_is_openai && path == "/api/chat";
        let path = if is_rewritten { "/v1/chat/completions" } else { path };
        let kind = match (counted, shape::Call::of(method, path)) {
            // No connection becomes another by a POST.
            (None | Some(true), Some(_)) if head.is_upgrade => Kind::Disguised,
            // Engines read a format that they know whatever its type is said to be, but methods of gRPC can be
            // called as routes are whose format nobody knows.
            (_, call)
                if head.is_upgrade
                    || (is_post
                        && call.as_ref().is_none_or(|call| call.shape == Shape::Unknown)
                        && is_grpc()) =>
            {
                Kind::Opaque
            }
            (Some(false), _) | (None, None) => return None,
            (Some(true), None) if is_post => Kind::Call(Shape::Unknown.into()),
            (Some(true), None) => return None,
            (_, Some(call)) => Kind::Call(call),
        };
        let mut this = Self {
            kind,
            started: UnixMillis(0),
            project: DEFAULT_PROJECT.into(),
            request_id: Box::default(),
            content_length: content_length(pairs),
            is_encoded: false,
            is_bound: route.forward_credential && head.has_signature,
            accepts_coding: false,
            is_forgotten: false,
        };
        for (name, value) in pairs {
            match (name.len(), name.as_str()) {
                (16, "content-encoding") => {
                    this.is_encoded |= !value.trim_ascii().eq_ignore_ascii_case(b"identity");
                }
                (14, "content-digest") | (11, "repr-digest") | (6, "digest") | (11, "content-md5") => {
                    this.is_bound = true;
                }
                // A signature that travels on vouches for what it covers, perhaps by the length.
                (9, "signature") | (15, "signature-input") => this.is_bound = true,
                (15, "accept-encoding") => {
                    this.accepts_coding |= !value.trim_ascii().eq_ignore_ascii_case(b"identity");
                }
                (15, _) if is_attach(name) && is_memory(name) => {
                    this.is_forgotten |= value.trim_ascii().eq_ignore_ascii_case(b"off");
                }
                (12, "x-request-id") => this.request_id = label(value, MAX_REQUEST_ID_BYTES).into(),
                (16, _) if is_attach(name) && name.eq_ignore_ascii_case("x-attach-project") => {
                    let project = label(value, MAX_PROJECT_BYTES);
                    if !project.is_empty() {
                        this.project = project.into();
                    }
                }
                _ => {}
            }
        }
        Some(this)
    }
}

impl CallHead {
    /// Somebody vouches for the body as it is to whoever gets it.
    pub(in crate::stream) fn bind(&mut self) {
        self.is_bound = true;
    }
}

/// Whether one of the gateway's own headers is `X-Attach-Memory`.
fn is_memory(name: &str) -> bool {
    name.get("x-attach-".len()..).is_some_and(|rest| rest.eq_ignore_ascii_case("memory"))
}

/// What the route says about tokens.
pub(in crate::stream) fn route_tokens(policy: &Policy, route: RoutePolicy) -> Option<&RouteTokens> {
    policy.rules.get(route.rules?)?.tokens.as_ref()
}

/// A text that can stand in a log and a record as it is; otherwise nothing.
fn label(value: &[u8], max: usize) -> &str {
    core::str::from_utf8(value.trim_ascii())
        .ok()
        .filter(|text| text.len() <= max && text.bytes().all(|b| b.is_ascii_graphic() || b == b' '))
        .unwrap_or_default()
}
