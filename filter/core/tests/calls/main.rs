//! Model calls from their headers to their records: what is reserved, what is let go, what is settled.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::type_complexity
)] // A test.

mod admission;
mod answers;
mod asking;
mod attacks;
mod fixture;
mod memory;
mod memory_held;
mod memory_orders;
mod orders;
mod streams;
