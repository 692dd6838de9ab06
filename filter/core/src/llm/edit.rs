//! Changes to a model call's body that an engine obeys: a lower cap, and a stream that reports its usage.
//!
//! Only the few bytes change that must: a value is replaced in its place, a member is put before the brace
//! that ends its object, where engines that read the last of several find it. Everything else stays byte
//! for byte, so that an engine is told nothing that the client did not say.

use super::request::cap::{CapField, CapValue, Holder, StatedCap};
use super::request::{Place, RequestFacts};
use super::scan::Span;

/// What is to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Ask for the usage of a stream, where [`RequestFacts::can_ask_for_usage`].
    pub ask_for_usage: bool,
    /// Bound every answer.
    pub cap: Option<CapEdit>,
}

/// How an answer is to be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapEdit {
    /// The most tokens of each answer. Every cap that states more is lowered to it.
    pub most: u64,
    /// Where a request states none that its engine is sure to obey: the field that is to state it, where
    /// [`RequestFacts::can_cap`]; `None` leaves it without one. Endless caps are lowered then, too.
    pub insert: Option<CapField>,
}

/// One change: what stands there gives way to a text.
struct Splice {
    span: Span,
    text: String,
}

/// Members that are put before the brace at that place.
#[derive(Default)]
struct Addition {
    close: u64,
    is_empty: bool,
    text: String,
}

/// The body with the changes made; `None` where nothing changes, or where it is not the body that the facts
/// were read from.
#[must_use]
pub fn edit(body: &[u8], facts: &RequestFacts, edits: &Edits) -> Option<Vec<u8>> {
    if facts.length != body.len() as u64 {
        return None;
    }
    let Place::Object { close, is_empty } = facts.place(Holder::Top) else { return None };
    let mut top = Addition { close, is_empty, text: String::new() };
    let mut splices = Vec::new();
    if let Some(cap) = &edits.cap {
        lower(facts, cap, &mut splices);
        if let Some(field) = cap.insert.filter(|field| is_insertion_due(facts, *field)) {
            insert(facts, field, cap.most, &mut splices, &mut top);
        }
    }
    if edits.ask_for_usage && facts.can_ask_for_usage() {
        ask_for_usage(facts, &mut splices, &mut top);
    }
    splices.extend(top.into_splice());
    if splices.is_empty() {
        return None;
    }
    splice(body, splices)
}

/// Lowers the caps that state more.
fn lower(facts: &RequestFacts, cap: &CapEdit, splices: &mut Vec<Splice>) {
    for stated in &facts.caps {
        let is_over = match stated.value {
            CapValue::Null => false,
            CapValue::Tokens(tokens) => tokens > cap.most,
            CapValue::Endless => cap.insert.is_some(),
        };
        if is_over {
            splices.push(Splice { span: stated.span, text: cap.most.to_string() });
        }
    }
}

/// Whether the body states no cap that its engine is sure to obey once those that it states are lowered.
fn is_insertion_due(facts: &RequestFacts, field: CapField) -> bool {
    let states = |stated: &StatedCap| {
        stated.is_exact
            && stated.value != CapValue::Null
            && !facts.is_repeated(stated.field.holder)
            && (stated.field == field || stated.field.is_obeyed(facts.shape))
    };
    facts.can_cap(field) && !facts.caps.iter().any(states)
}

fn insert(facts: &RequestFacts, field: CapField, most: u64, splices: &mut Vec<Splice>, top: &mut Addition) {
    let is_null = |stated: &&StatedCap| {
        stated.field == field
            && stated.is_exact
            && stated.value == CapValue::Null
            && !facts.is_repeated(stated.field.holder)
    };
    if let Some(null) = facts.caps.iter().find(is_null) {
        splices.push(Splice { span: null.span, text: most.to_string() });
        return;
    }
    let member = format!("\"{}\":{most}", field.name());
    if field.holder == Holder::Top {
        top.add(&member);
        return;
    }
    match facts.place(field.holder) {
        Place::Absent => top.add(&format!("\"{}\":{{{member}}}", field.holder.name())),
        Place::Object { close, is_empty } => {
            let mut within = Addition { close, is_empty, text: String::new() };
            within.add(&member);
            splices.extend(within.into_splice());
        }
        Place::Null(span) => splices.push(Splice { span, text: format!("{{{member}}}") }),
        Place::Odd => {}
    }
}

fn ask_for_usage(facts: &RequestFacts, splices: &mut Vec<Splice>, top: &mut Addition) {
    match (facts.stream_options.place, facts.stream_options.include_usage) {
        (Place::Absent, _) => top.add("\"stream_options\":{\"include_usage\":true}"),
        (Place::Object { .. }, Some((span, _))) => splices.push(Splice { span, text: "true".to_owned() }),
        (Place::Object { close, is_empty }, None) => {
            let mut within = Addition { close, is_empty, text: String::new() };
            within.add("\"include_usage\":true");
            splices.extend(within.into_splice());
        }
        (Place::Null(_) | Place::Odd, _) => {}
    }
}

impl Addition {
    fn add(&mut self, member: &str) {
        if !self.is_empty || !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(member);
    }

    fn into_splice(self) -> Option<Splice> {
        let span = Span { start: self.close, end: self.close };
        (!self.text.is_empty()).then_some(Splice { span, text: self.text })
    }
}

/// Puts the texts into their places, which never overlap.
fn splice(body: &[u8], mut splices: Vec<Splice>) -> Option<Vec<u8>> {
    splices.sort_by_key(|splice| splice.span.start);
    let added: usize = splices.iter().map(|splice| splice.text.len()).sum();
    let mut edited = Vec::with_capacity(body.len().saturating_add(added));
    let mut at = 0;
    for Splice { span, text } in &splices {
        let start = usize::try_from(span.start).ok()?;
        edited.extend_from_slice(body.get(at..start)?);
        edited.extend_from_slice(text.as_bytes());
        at = usize::try_from(span.end).ok()?;
    }
    edited.extend_from_slice(body.get(at..)?);
    Some(edited)
}

#[cfg(test)]
mod tests;
