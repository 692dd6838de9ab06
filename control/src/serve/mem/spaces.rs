//! `/mem/spaces/{space}/…`: what a team shares. To whoever is not admitted to a space there is none.

use attach_core::mirror::space_owner;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::response::Response;

use super::body::Sent;
use super::parameters::{Asked, Parameters};
use super::{Gate, Refusal, events};
use crate::memory::Reach;
use crate::trust::Caller;

/// How axum gives the name of a space.
type Named = Result<Path<String>, PathRejection>;

pub(super) async fn list(gate: Gate, named: Named, asked: Asked) -> Result<Response, Refusal> {
    let owner = admitted(&gate.caller, named)?;
    let asked = Parameters::read(asked, &["limit", "before", "session"])?;
    events::page(&gate.memory, Reach::Owner(owner), &asked).await
}

pub(super) async fn search(gate: Gate, named: Named, asked: Asked) -> Result<Response, Refusal> {
    let owner = admitted(&gate.caller, named)?;
    let asked = Parameters::read(asked, &["q", "limit"])?;
    events::ranked(&gate.memory, Reach::Owner(owner), &asked).await
}

pub(super) async fn forget(gate: Gate, named: Named, asked: Asked) -> Result<Response, Refusal> {
    let owner = admitted(&gate.caller, named)?;
    events::forget_of(&gate.memory, &gate.caller, owner, asked).await
}

pub(super) async fn note(
    gate: Gate,
    named: Named,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Refusal> {
    let owner = admitted(&gate.caller, named)?;
    events::write(&gate, owner, &headers, sent).await
}

/// The owner of what a space holds that the caller is admitted to.
fn admitted(caller: &Caller, named: Named) -> Result<String, Refusal> {
    let missing = || Refusal::missing("There is no such space, or none for you");
    let Path(space) = named.map_err(|_| missing())?;
    caller.spaces.contains(&space).then(|| space_owner(&space)).ok_or_else(missing)
}
