//! The host's functions, as the filter wants them: bytes in, bytes out, failures as values.
//!
//! The only file that calls `proxy_wasm::hostcalls`, whose string getters panic on bytes that are not
//! UTF-8 and whose other functions panic on a status they do not expect; those used here do so only on
//! statuses that Envoy does not return for them.

use std::time::{Duration, SystemTime};

use attach_core::clock::UnixMillis;
use attach_core::crypto::{Hash, HostVerifier};
use attach_core::keys::discovery::Target;
use attach_core::meter::instrument::{Kind, MetricHost};
use attach_core::reply::LocalReply;
use attach_core::secret::Secret;
use attach_core::stamp::CONTROL_SECRET;
use attach_core::stream::Question;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, Status};

/// The wall clock.
pub(crate) fn now() -> UnixMillis {
    let time = hostcalls::get_current_time().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A line in Envoy's log.
pub(crate) fn log(level: LogLevel, message: &str) {
    let _ = hostcalls::log(level, message);
}

/// Calls the root's tick that often.
pub(crate) fn tick_every(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// The plugin's configuration.
pub(crate) fn configuration(size: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default()
}

/// All request headers, in one call: it costs what a single header costs.
pub(crate) fn request_headers() -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
}

/// All request trailers.
pub(crate) fn request_trailers() -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(MapType::HttpRequestTrailers).unwrap_or_default()
}

/// Sets a request header in place of all of its name.
pub(crate) fn set_request_header(name: &str, value: &[u8]) {
    let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value));
}

/// Removes all request headers of a name.
pub(crate) fn remove_request_header(name: &str) {
    let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, name);
}

/// Removes all request trailers of a name.
pub(crate) fn remove_request_trailer(name: &str) {
    let _ = hostcalls::remove_map_value(MapType::HttpRequestTrailers, name);
}

/// Sets a response header in place of all of its name.
pub(crate) fn set_response_header(name: &str, value: &[u8]) {
    let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value));
}

/// Answers the request of the effective context; the host sends it when the callback has returned.
pub(crate) fn reply(reply: &LocalReply) {
    let headers = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _ = hostcalls::send_http_response(u32::from(reply.status), headers, Some(reply.body.as_bytes()));
}

/// Goes on with the paused request of the effective context, when the callback has returned.
pub(crate) fn resume_request() {
    let _ = hostcalls::resume_http_request();
}

/// Goes on with the paused response of the effective context, when the callback has returned.
pub(crate) fn resume_response() {
    let _ = hostcalls::resume_http_response();
}

/// Makes another context the one that host calls are about; `false` if it is gone.
pub(crate) fn act_for(context: u32) -> bool {
    hostcalls::set_effective_context(context).is_ok()
}

/// Starts fetching something; `None` if the host does not take the call. `secret` is for control's own.
pub(crate) fn fetch(target: &Target, secret: Option<&Secret>, timeout: Duration) -> Option<u32> {
    call("GET", target, &[("accept", b"application/json")], secret, None, timeout)
}

/// Starts asking something, for the effective context; `None` if the host does not take the call.
pub(crate) fn ask(question: &Question, secret: &Secret) -> Option<u32> {
    let secret = question.with_secret.then_some(secret);
    let kind = ("content-type", question.content_type.as_bytes());
    call("POST", &question.target, &[kind], secret, Some(&question.body), question.timeout)
}

/// Starts telling somebody something; `None` if the host does not take the call. `secret` is for control's
/// own, `authorization` for who has a key of its own.
pub(crate) fn post(
    target: &Target,
    content_type: &str,
    authorization: Option<&Secret>,
    secret: Option<&Secret>,
    body: &[u8],
    timeout: Duration,
) -> Option<u32> {
    let mut headers = vec![("content-type", content_type.as_bytes())];
    headers.extend(authorization.map(|value| ("authorization", value.expose())));
    call("POST", target, &headers, secret, Some(body), timeout)
}

fn call(
    method: &str,
    target: &Target,
    more: &[(&str, &[u8])],
    secret: Option<&Secret>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Option<u32> {
    let mut headers = vec![
        (":method", method.as_bytes()),
        (":scheme", target.scheme.as_bytes()),
        (":authority", target.authority.as_bytes()),
        (":path", target.path.as_bytes()),
    ];
    headers.extend_from_slice(more);
    headers.extend(secret.map(|secret| (CONTROL_SECRET, secret.expose())));
    // Whatever stands there was found to be ASCII when the configuration was read.
    let headers = headers.iter().map(|(name, value)| (*name, str::from_utf8(value).unwrap_or_default()));
    hostcalls::dispatch_http_call(&target.cluster, headers.collect(), body, Vec::new(), timeout).ok()
}

/// A part of the request's body, as far as the host has kept it.
pub(crate) fn request_body(start: usize, size: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::HttpRequestBody, start, size).ok().flatten().unwrap_or_default()
}

/// Puts another body into the request, in place of what the host has kept, which is so large.
pub(crate) fn replace_request_body(size: usize, body: &[u8]) {
    let _ = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, size, body);
}

/// All response headers, in one call.
pub(crate) fn response_headers() -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(MapType::HttpResponseHeaders).unwrap_or_default()
}

/// The part of the response's body that is passing.
pub(crate) fn response_body(size: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::HttpResponseBody, 0, size).ok().flatten().unwrap_or_default()
}

/// Puts other bytes in place of the part of the response's body that is passing, which is so large.
pub(crate) fn replace_response_body(size: usize, body: &[u8]) {
    let _ = hostcalls::set_buffer(BufferType::HttpResponseBody, 0, size, body);
}

/// Removes all response headers of a name.
pub(crate) fn remove_response_header(name: &str) {
    let _ = hostcalls::remove_map_value(MapType::HttpResponseHeaders, name);
}

/// Breaks the stream of the effective context off.
pub(crate) fn reset_stream() {
    let _ = hostcalls::reset_http_response();
}

/// Writes something for the access log: Envoy prints it as `%FILTER_STATE(wasm.<name>:PLAIN)%`.
pub(crate) fn log_value(name: &str, value: &str) {
    let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// Random bytes; `None` if the host has none, which no Envoy lacks.
pub(crate) fn random() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

/// The VM's memory, in bytes.
pub(crate) fn memory() -> u64 {
    #[cfg(target_arch = "wasm32")]
    let pages = core::arch::wasm32::memory_size::<0>();
    #[cfg(not(target_arch = "wasm32"))]
    let pages = 0_usize;
    u64::try_from(pages).unwrap_or(u64::MAX).saturating_mul(65_536)
}

/// The root that asked for time when it was to go needs no more. Only to be called then.
pub(crate) fn done() {
    let _ = hostcalls::done();
}

/// The host's metrics. The host lacks none of them, so that the SDK's functions do not panic.
pub(crate) struct EnvoyMetrics;

impl MetricHost for EnvoyMetrics {
    fn define(&self, kind: Kind, name: &str) -> Option<u32> {
        let kind = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        hostcalls::define_metric(kind, name).ok()
    }

    fn add(&self, metric: u32, amount: u64) {
        let _ = hostcalls::increment_metric(metric, i64::try_from(amount).unwrap_or(i64::MAX));
    }

    fn record(&self, metric: u32, value: u64) {
        let _ = hostcalls::record_metric(metric, value);
    }

    fn shared(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        shared(key)
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        set_shared(key, value, version)
    }
}

/// A counter by its name; `None` if the host has none to give.
pub(crate) fn counter(name: &str) -> Option<u32> {
    hostcalls::define_metric(MetricType::Counter, name).ok()
}

/// Counts one.
pub(crate) fn count(counter: u32) {
    let _ = hostcalls::increment_metric(counter, 1);
}

/// The status of the answer to a call; `None` where there is none, as after a reset.
pub(crate) fn answer_status() -> Option<u16> {
    let status = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok()??;
    core::str::from_utf8(&status).ok()?.parse().ok()
}

/// The body of the answer to a call.
pub(crate) fn answer_body(size: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size).ok().flatten().unwrap_or_default()
}

/// A value that all workers share, and its version.
pub(crate) fn shared(key: &str) -> (Option<Vec<u8>>, Option<u32>) {
    hostcalls::get_shared_data(key).unwrap_or((None, None))
}

/// Writes such a value; with a version, only if it still is that one. `false`: somebody else was first.
///
/// The host takes any version for a key that is not there yet, so a key must exist before workers can
/// compete for it.
pub(crate) fn set_shared(key: &str, value: &[u8], version: Option<u32>) -> bool {
    hostcalls::set_shared_data(key, Some(value), version).is_ok()
}

/// Envoy's own signature check, a foreign function by the name of `verify_signature`.
pub(crate) struct EnvoyVerifier;

impl HostVerifier for EnvoyVerifier {
    fn verify(&self, hash: Hash, spki: &[u8], signature: &[u8], message: &[u8]) -> Option<bool> {
        let mut arguments = Vec::with_capacity(
            spki.len().saturating_add(signature.len()).saturating_add(message.len()).saturating_add(32),
        );
        for (field, bytes) in [(1, hash.name().as_bytes()), (2, spki), (3, signature), (4, message)] {
            put_bytes(&mut arguments, field, bytes);
        }
        match hostcalls::call_foreign_function("verify_signature", Some(&arguments)) {
            Ok(answer) => Some(answer.is_some_and(|answer| is_true(&answer))),
            // No such function, or one that does not read these arguments: another way must be found.
            Err(Status::NotFound | Status::BadArgument | _) => None,
        }
    }
}

/// A length-delimited field of a Protocol Buffers message.
fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        #[allow(clippy::cast_possible_truncation)] // Seven bits of it are meant.
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)]
    message.push(length as u8);
    message.extend_from_slice(bytes);
}

/// Whether field 1 of a Protocol Buffers message, a boolean, is true. Field 2, an error text, may follow.
fn is_true(message: &[u8]) -> bool {
    message.starts_with(&[1 << 3, 1])
}
