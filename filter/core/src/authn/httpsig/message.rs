//! A request as its signer saw it: the values of its components (RFC 9421 sections 2.1 and 2.2) and the
//! signature base made of them (section 2.5).

use std::borrow::Cow;

use super::component::{Component, Part};
use super::structured::{Item, Member, Members};
use super::{agent, query};
use crate::authn::Refusal;
use crate::headers::Pairs;
use sfv::{BareItem, ItemSerializer, RefBareItem};

/// Fields that `;sf` can be asked of: those whose type a specification states. Of any other, two readers
/// could disagree what its canonical form is.
const DICTIONARIES: [&str; 9] = [
    "accept-signature",
    "content-digest",
    "priority",
    "repr-digest",
    "signature",
    "signature-agent",
    "signature-input",
    "want-content-digest",
    "want-repr-digest",
];
const LISTS: [&str; 3] = ["cache-status", "client-cert-chain", "proxy-status"];
const ITEMS: [&str; 2] = ["client-cert", "idempotency-key"];

/// How many bytes of values all signatures of a request may cover together. Each has to be copied, some
/// parsed, before a signature can be found wrong.
pub(super) const MAX_COVERED_BYTES: usize = 64 * 1024;

/// How the line of one agent of a dictionary is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As RFC 9421 section 2.1.2 has it: `"signature-agent";key="sig1": "https://bot.example"`.
    Rfc,
    /// As OpenBotAuth's programs write it: `"signature-agent": sig1="https://bot.example"`. It says the
    /// same; which components are meant stands in the last line of both.
    OpenBotAuth,
}

/// A request.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pairs: &'a Pairs,
    method: Option<&'a [u8]>,
    target: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    /// Whether there is a body, even an empty one whose end has not come yet.
    pub(super) has_body: bool,
}

impl core::fmt::Debug for Message<'_> {
    /// Headers are credentials.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Message(…)")
    }
}

impl<'a> Message<'a> {
    /// Reads the header map: names in lower case, `:method`, `:path` and `:authority` among them.
    /// `has_body`: whether anything follows the headers.
    #[must_use]
    pub fn read(pairs: &'a Pairs, has_body: bool) -> Self {
        let mut message = Self { pairs, method: None, target: None, authority: None, has_body };
        for (name, value) in pairs {
            match name.as_str() {
                ":method" => message.method = Some(value),
                ":path" => message.target = Some(value),
                ":authority" => message.authority = Some(value),
                _ => {}
            }
        }
        message
    }

    /// Whether there is a query, even an empty one.
    pub(super) fn has_query(&self) -> bool {
        self.target.is_some_and(|target| target.contains(&b'?'))
    }

    /// `@authority`: lower case, without the scheme's own port.
    pub(super) fn authority(&self, scheme: &str) -> Option<String> {
        core::str::from_utf8(self.authority?).ok().map(|authority| normal_authority(scheme, authority))
    }

    /// The lines of a field without the space around them.
    fn lines(&self, name: &str) -> impl Iterator<Item = Cow<'a, [u8]>> {
        // Names are lower case in the map, and no pseudo-header's name is a field's.
        self.pairs.iter().filter(move |(have, _)| have == name).map(|(_, value)| unfolded(value))
    }

    /// A field's lines as one (RFC 9421 section 2.1). `None` if it is not there, or longer than `most`.
    pub(super) fn field(&self, name: &str, most: usize) -> Option<Vec<u8>> {
        let mut combined: Option<Vec<u8>> = None;
        for line in self.lines(name) {
            let combined = match &mut combined {
                None => combined.insert(Vec::with_capacity(line.len())),
                Some(combined) => {
                    combined.extend_from_slice(b", ");
                    combined
                }
            };
            combined.extend_from_slice(&line);
            if combined.len() > most {
                return None;
            }
        }
        combined
    }

    /// Whether a field is there, be it empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(have, _)| have == name)
    }

    /// The signature base of a member of `Signature-Input` (RFC 9421 section 2.5). `left` is what it may
    /// still cover, in bytes. `style`: how a line of the agent's is written.
    ///
    /// # Errors
    /// A component is not in the request, has no such form, or `left` is used up.
    pub(super) fn signature_base(
        &self,
        input: &Member,
        covered: &[Component],
        scheme: &str,
        style: Style,
        left: &mut usize,
    ) -> Result<String, Refusal> {
        let mut base = String::with_capacity(512);
        let items: &[Item] = input.inner_list().ok_or(Refusal::SignatureMalformed)?;
        for (item, component) in items.iter().zip(covered) {
            match &component.part {
                Part::Member(key) if style == Style::OpenBotAuth && *component.name == *agent::FIELD => {
                    for part in ["\"", agent::FIELD, "\": ", key, "="] {
                        base.push_str(part);
                    }
                }
                _ => {
                    item.write(&mut base);
                    base.push_str(": ");
                }
            }
            self.write_value(component, scheme, &mut base, left)?;
            base.push('\n');
        }
        base.push_str("\"@signature-params\": ");
        input.write(&mut base);
        Ok(base)
    }

    fn write_value(
        &self,
        component: &Component,
        scheme: &str,
        out: &mut String,
        left: &mut usize,
    ) -> Result<(), Refusal> {
        let absent = Refusal::SignatureComponentAbsent;
        let target = self.target.ok_or(absent);
        match (&*component.name, &component.part) {
            ("@method", _) => push(self.method.ok_or(absent)?, out, left),
            ("@scheme", _) => push(scheme.as_bytes(), out, left),
            ("@authority", _) => push(self.authority(scheme).ok_or(absent)?.as_bytes(), out, left),
            ("@request-target", _) => push(target?, out, left),
            ("@target-uri", _) => {
                push(scheme.as_bytes(), out, left)?;
                out.push_str("://");
                push(self.authority(scheme).ok_or(absent)?.as_bytes(), out, left)?;
                // `OPTIONS *` has no path (RFC 9110 section 7.1).
                push(target?.strip_prefix(b"*").unwrap_or(target?), out, left)
            }
            ("@path", _) => {
                let (path, _) = split_query(target?);
                push(if path.is_empty() { b"/" } else { path }, out, left)
            }
            ("@query", _) => {
                out.push('?');
                push(split_query(target?).1, out, left)
            }
            (_, Part::Parameter(name)) => {
                let (_, query) = split_query(target?);
                spend(query.len(), left)?;
                query::write_parameter(query, name, out)
            }
            (field, part) => self.write_field(field, part, out, left),
        }
    }

    fn write_field(
        &self,
        name: &str,
        part: &Part,
        out: &mut String,
        left: &mut usize,
    ) -> Result<(), Refusal> {
        // Envoy knows `Host` as `:authority` in every version of HTTP.
        if name == "host" && !self.has(name) && *part == Part::Whole {
            return push(self.authority.ok_or(Refusal::SignatureComponentAbsent)?, out, left);
        }
        if !self.has(name) {
            return Err(Refusal::SignatureComponentAbsent);
        }
        if *part == Part::Bytes {
            for (place, line) in self.lines(name).enumerate() {
                spend(line.len(), left)?;
                if place > 0 {
                    out.push_str(", ");
                }
                let _ = ItemSerializer::with_buffer(out).bare_item(RefBareItem::ByteSequence(&line)).finish();
            }
            return Ok(());
        }
        let value = self.field(name, *left).ok_or(Refusal::SignatureComponent)?;
        if let Part::Whole = part {
            return push(&value, out, left);
        }
        spend(value.len(), left)?;
        let malformed = Refusal::SignatureComponent;
        match part {
            Part::Member(key) => {
                let members = Members::dictionary(&value).ok_or(malformed)?;
                members.get(key).ok_or(Refusal::SignatureComponentAbsent)?.write(out);
            }
            _ if DICTIONARIES.contains(&name) => Members::dictionary(&value).ok_or(malformed)?.write(out),
            _ if LISTS.contains(&name) => Members::list(&value).ok_or(malformed)?.write(out),
            _ if ITEMS.contains(&name) => Item::parse(&value).ok_or(malformed)?.write(out),
            _ => return Err(malformed),
        }
        Ok(())
    }
}

/// The text of a bare item that is a string.
pub(super) fn string(item: &BareItem) -> Option<&str> {
    match item {
        BareItem::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// Appends a value that can stand in a signature base: no line break, and nothing but ASCII (RFC 9421
/// section 2.5).
fn push(value: &[u8], out: &mut String, left: &mut usize) -> Result<(), Refusal> {
    spend(value.len(), left)?;
    let text = core::str::from_utf8(value).map_err(|_| Refusal::SignatureComponent)?;
    if !text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
        return Err(Refusal::SignatureComponent);
    }
    out.push_str(text);
    Ok(())
}

fn spend(bytes: usize, left: &mut usize) -> Result<(), Refusal> {
    *left = left.checked_sub(bytes).ok_or(Refusal::SignatureComponent)?;
    Ok(())
}

/// A line without the space around it, and with a single space for every obsolete fold (RFC 9112
/// section 5.2).
fn unfolded(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.trim_ascii();
    if !line.contains(&b'\n') {
        return Cow::Borrowed(line);
    }
    let mut out = Vec::with_capacity(line.len());
    for part in line.split(|b| *b == b'\n') {
        // A line break that no space follows folds nothing: it stays, and is refused.
        if !out.is_empty() {
            out.push(if part.starts_with(b" ") || part.starts_with(b"\t") { b' ' } else { b'\n' });
        }
        out.extend_from_slice(part.trim_ascii());
    }
    Cow::Owned(out)
}

/// A target's path and what follows its first `?`.
fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = target.splitn(2, |b| *b == b'?');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}

/// An authority in lower case and without the scheme's own port (RFC 9110 section 4.2.3).
#[must_use]
pub fn normal_authority(scheme: &str, authority: &str) -> String {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase()
}
