//! What model calls cost: counted, limited, charged and recorded, through the real Envoy.
//!
//! Two gateways are shared by most tests. On the one nobody has a limit; on the other a user's limit goes by
//! how the user is called ([`kit::Limited`]). Each test is a user or a project of its own, so that what it finds
//! in the ledger is its own.

mod charging;
mod clients;
mod corpus;
mod edges;
mod ending;
mod forms;
mod invisible;
mod kit;
mod limits;
mod scoped;
mod told;
