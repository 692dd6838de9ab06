//! Attach Gateway's Envoy filter: the thin edge between Envoy's callbacks and [`attach_core`].
//!
//! `host` is the only file that calls the host, `shared` says what the workers of an Envoy share,
//! `courier` tells others what calls did cost, `mirror` memory what was said in them, `metrics` the host what was
//! counted, `windows` says what the workers of an Envoy share of limits,
//! `root` runs beside the requests (configuration, keys), `stream` translates one request's callbacks.

#![allow(missing_docs)] // The macro's entry point is all that is public, and it is not ours.

mod courier;
mod host;
mod metrics;
mod mirror;
mod root;
mod shared;
mod stream;
mod windows;
mod worker;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
