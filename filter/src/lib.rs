//! Attach Gateway's Envoy filter.
