//! The module as a file: what a host must have to load it, and how large it is.

use std::collections::BTreeSet;

/// What Envoy offers a module of proxy-wasm's ABI 0.2.1, each behind `proxy_`. One import that a host lacks,
/// and the module does not load; the SDK imports most of them, used or not.
const PROXY: [&str; 39] = [
    "add_header_map_value",
    "call_foreign_function",
    "close_stream",
    "continue_stream",
    "define_metric",
    "dequeue_shared_queue",
    "done",
    "enqueue_shared_queue",
    "get_buffer_bytes",
    "get_buffer_status",
    "get_current_time_nanoseconds",
    "get_header_map_pairs",
    "get_header_map_size",
    "get_header_map_value",
    "get_log_level",
    "get_metric",
    "get_property",
    "get_shared_data",
    "get_status",
    "grpc_call",
    "grpc_cancel",
    "grpc_close",
    "grpc_send",
    "grpc_stream",
    "http_call",
    "increment_metric",
    "log",
    "record_metric",
    "register_shared_queue",
    "remove_header_map_value",
    "replace_header_map_value",
    "resolve_shared_queue",
    "send_local_response",
    "set_buffer_bytes",
    "set_effective_context",
    "set_header_map_pairs",
    "set_property",
    "set_shared_data",
    "set_tick_period_milliseconds",
];

/// The part of WASI that Envoy offers.
const WASI: [&str; 12] = [
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "proc_exit",
    "random_get",
];

/// The largest it may be, in bytes.
const LARGEST: usize = 8_000_000;

fn module() -> Vec<u8> {
    let path = attach_tests::env::module();
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_module_asks_a_host_for_nothing_that_envoy_lacks() {
    let imports = imports(&module());
    assert!(!imports.is_empty());
    let unknown: BTreeSet<_> = imports
        .iter()
        .filter(|(from, name)| match from.as_str() {
            "env" => !name.strip_prefix("proxy_").is_some_and(|name| PROXY.contains(&name)),
            "wasi_snapshot_preview1" => !WASI.contains(&name.as_str()),
            _ => true,
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_module_is_small() {
    let size = module().len();
    assert!(size <= LARGEST, "{size} bytes");
}

/// Module and name of each import (WebAssembly core specification, section 5.5.5).
fn imports(module: &[u8]) -> Vec<(String, String)> {
    let mut reader = Reader(module.strip_prefix(b"\0asm\x01\0\0\0").expect("a module"));
    while !reader.0.is_empty() {
        let section = reader.byte();
        let size = reader.number();
        let (content, rest) = reader.0.split_at(size);
        reader.0 = rest;
        if section == 2 {
            let mut reader = Reader(content);
            let count = reader.number();
            return (0..count).map(|_| reader.import()).collect();
        }
    }
    Vec::new()
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("another byte");
        self.0 = rest;
        *first
    }

    /// An unsigned LEB128.
    fn number(&mut self) -> usize {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.byte();
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    fn name(&mut self) -> String {
        let length = self.number();
        let (name, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(name).into_owned()
    }

    fn import(&mut self) -> (String, String) {
        let import = (self.name(), self.name());
        let kind = self.byte();
        assert_eq!(kind, 0, "{import:?} is no function");
        self.number();
        import
    }
}
