//! `attach up`.

pub mod crew;
