#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| attach_fuzz::redact(data));
