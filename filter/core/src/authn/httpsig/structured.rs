//! Structured fields (RFC 9651): lists, dictionaries and items, read by `sfv` and written back in their one
//! canonical form.
//!
//! `sfv` reads and writes; what it read is kept here, in vectors. Its own types are left out: they sit on a
//! hash table that asks the host for randomness, and a signature has a handful of parameters.

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{BareItem, BareItemFromInput, ItemSerializer, Key, KeyRef, Parser};

/// The most members of a dictionary, and the most parameters of a member: each is compared with all before
/// it, so that their number must not be the sender's choice.
const MAX_NAMES: usize = 128;

/// Parameters in their order; of a repeated one the last value, at the place of the first (RFC 9651
/// section 4.2.3.2).
#[derive(Debug, Default)]
pub(super) struct Parameters {
    list: Vec<(Key, BareItem)>,
    repeated: bool,
}

/// A bare item with its parameters.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) value: BareItem,
    pub(super) parameters: Parameters,
}

/// A member of a list or dictionary: one item, or an inner list of them.
#[derive(Debug)]
pub(super) struct Member {
    key: Option<Key>,
    is_list: bool,
    items: Vec<Item>,
    /// The inner list's; of a member that is one item, that item's.
    pub(super) parameters: Parameters,
}

/// A dictionary, or, with members that have no key, a list.
#[derive(Debug, Default)]
pub(super) struct Members {
    list: Vec<Member>,
    repeated: bool,
}

impl Parameters {
    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&BareItem> {
        self.list.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value)
    }

    /// Names and values in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &BareItem)> {
        self.list.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Appends the canonical form (RFC 9651 section 4.1.1.2).
    pub(super) fn write(&self, out: &mut String) {
        for (key, value) in &self.list {
            out.push(';');
            out.push_str(key.as_str());
            if !matches!(value, BareItem::Boolean(true)) {
                out.push('=');
                write_value(value, out);
            }
        }
    }
}

/// Appends a bare item (RFC 9651 section 4.1.3.1).
fn write_value(value: &BareItem, out: &mut String) {
    let _ = ItemSerializer::with_buffer(out).bare_item(value).finish();
}

impl Item {
    /// Reads an item.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        // An item is read as the only member of a list: one collector for everything.
        let mut members = Members::list(text)?;
        let member = members.list.pop().filter(|member| !member.is_list && members.list.is_empty())?;
        let value = member.items.into_iter().next()?.value;
        Some(Self { value, parameters: member.parameters })
    }

    /// Appends its canonical form (RFC 9651 section 4.1.3).
    pub(super) fn write(&self, out: &mut String) {
        write_value(&self.value, out);
        self.parameters.write(out);
    }
}

impl Member {
    /// Its key, if it is a dictionary's.
    pub(super) fn key(&self) -> &str {
        self.key.as_ref().map_or("", |key| key.as_str())
    }

    /// Its items, if it is an inner list.
    pub(super) fn inner_list(&self) -> Option<&[Item]> {
        self.is_list.then_some(&*self.items)
    }

    /// Its value, if it is no inner list.
    pub(super) fn item(&self) -> Option<&BareItem> {
        self.items.first().filter(|_| !self.is_list).map(|item| &item.value)
    }

    /// Appends its canonical form, without its key (RFC 9651 sections 4.1.1.1 and 4.1.3).
    pub(super) fn write(&self, out: &mut String) {
        if let Some(value) = self.item() {
            write_value(value, out);
        } else {
            out.push('(');
            for (place, item) in self.items.iter().enumerate() {
                if place > 0 {
                    out.push(' ');
                }
                item.write(out);
            }
            out.push(')');
        }
        self.parameters.write(out);
    }
}

impl Members {
    /// Reads a dictionary.
    pub(super) fn dictionary(text: &[u8]) -> Option<Self> {
        Parser::new(text).parse_dictionary_with_visitor(Self::default()).ok()
    }

    /// Reads a list.
    pub(super) fn list(text: &[u8]) -> Option<Self> {
        Parser::new(text).parse_list_with_visitor(Self::default()).ok()
    }

    /// The members in their order.
    pub(super) fn iter(&self) -> core::slice::Iter<'_, Member> {
        self.list.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The member of that key.
    pub(super) fn get(&self, key: &str) -> Option<&Member> {
        self.list.iter().find(|member| member.key() == key)
    }

    /// Whether a key or a parameter was there twice: legal, and one reader's last may be another's first.
    pub(super) fn has_repetition(&self) -> bool {
        self.repeated
            || self.list.iter().any(|member| {
                member.parameters.repeated || member.items.iter().any(|item| item.parameters.repeated)
            })
    }

    /// Appends the canonical form (RFC 9651 sections 4.1.1 and 4.1.2).
    pub(super) fn write(&self, out: &mut String) {
        for (place, member) in self.list.iter().enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            if let Some(key) = &member.key {
                out.push_str(key.as_str());
                if let Some(BareItem::Boolean(true)) = member.item() {
                    member.parameters.write(out);
                    continue;
                }
                out.push('=');
            }
            member.write(out);
        }
    }

    /// A new member, in place of an earlier one of the same key.
    fn put(&mut self, key: Option<&KeyRef>, is_list: bool) -> Result<&mut Member, core::fmt::Error> {
        let member = Member {
            key: key.map(ToOwned::to_owned),
            is_list,
            items: Vec::new(),
            parameters: Parameters::default(),
        };
        let earlier = match key {
            Some(key) => self.list.iter().position(|member| member.key() == key.as_str()),
            None => None,
        };
        match earlier {
            Some(place) => {
                self.repeated = true;
                let old = self.list.get_mut(place).ok_or(core::fmt::Error)?;
                *old = member;
                Ok(old)
            }
            None if self.list.len() >= MAX_NAMES => Err(core::fmt::Error),
            None => Ok(self.list.push_mut(member)),
        }
    }
}

/// Where the parser puts a member: it learns only after the key whether it is a list.
struct Slot<'a, 'de> {
    members: &'a mut Members,
    key: Option<&'de KeyRef>,
}

impl<'de> DictionaryVisitor<'de> for Members {
    type Out = Self;
    type Error = core::fmt::Error;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        Ok(Slot { members: self, key: Some(key) })
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(self)
    }
}

impl<'de> ListVisitor<'de> for Members {
    type Out = Self;
    type Error = core::fmt::Error;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Self::Error> {
        Ok(Slot { members: self, key: None })
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(self)
    }
}

impl<'de> EntryVisitor<'de> for Slot<'_, 'de> {
    type Error = core::fmt::Error;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        self.members.put(self.key, true)
    }
}

impl<'de> ItemVisitor<'de> for Slot<'_, 'de> {
    type Out = ();
    type Error = core::fmt::Error;

    fn bare_item(
        self,
        value: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Self::Error> {
        let member = self.members.put(self.key, false)?;
        member.items.push(Item { value: value.into(), parameters: Parameters::default() });
        Ok(&mut member.parameters)
    }
}

/// What follows within a member: the items of an inner list, its parameters.
impl<'de> InnerListVisitor<'de> for &mut Member {
    type Error = core::fmt::Error;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(Items(&mut self.items))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Self::Error> {
        Ok(&mut self.parameters)
    }
}

struct Items<'a>(&'a mut Vec<Item>);

impl<'de> ItemVisitor<'de> for Items<'_> {
    type Out = ();
    type Error = core::fmt::Error;

    fn bare_item(
        self,
        value: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Self::Error> {
        let item = self.0.push_mut(Item { value: value.into(), parameters: Parameters::default() });
        Ok(&mut item.parameters)
    }
}

impl<'de> ParameterVisitor<'de> for &mut Parameters {
    type Out = ();
    type Error = core::fmt::Error;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Self::Error> {
        if let Some((_, old)) = self.list.iter_mut().find(|(have, _)| have.as_str() == key.as_str()) {
            self.repeated = true;
            *old = value.into();
        } else if self.list.len() >= MAX_NAMES {
            return Err(core::fmt::Error);
        } else {
            self.list.push((key.to_owned(), value.into()));
        }
        Ok(())
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_the_canonical_form_of_what_was_read() {
        for (dictionary, text, expected) in [
            (true, "a=1,    b=2;x=1;y=2,   c=(a   b   c)", Some("a=1, b=2;x=1;y=2, c=(a b c)")),
            (true, "a, b;x, c=?0, d=?1;x=?1", Some("a, b;x, c=?0, d;x")),
            (true, "a=1, b=2, a=3;x;x=2", Some("a=3;x=2, b=2")),
            (true, "s=\"q\\\"\\\\\", t=tok/en:*, y=:aGk=:", Some("s=\"q\\\"\\\\\", t=tok/en:*, y=:aGk=:")),
            (true, "n=-0042, f=1.50, f2=1.0", Some("n=-42, f=1.5, f2=1.0")),
            (true, "a=()", Some("a=()")),
            (true, "a=(  (b))", None),
            (true, "A=1", None),
            (true, "a=1,", None),
            (true, "a=1 b=2", None),
            (true, "", Some("")),
            (false, "a ,  \"b\";q=1,(x  y);z", Some("a, \"b\";q=1, (x y);z")),
            (false, "é", None),
        ] {
            let read = if dictionary { Members::dictionary } else { Members::list };
            let written = read(text.as_bytes()).map(|members| {
                let mut out = String::new();
                members.write(&mut out);
                out
            });
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_repetition_is_noticed_wherever_it_is() {
        for (text, expected) in [
            ("a=1, b=2", false),
            ("a=1, a=1", true),
            ("a=1;x;x", true),
            ("a=(b;x c;x);x", false),
            ("a=(b;x;x)", true),
        ] {
            assert_eq!(Members::dictionary(text.as_bytes()).unwrap().has_repetition(), expected, "{text}");
        }
    }

    #[test]
    fn names_beyond_number_are_refused() {
        let many = |n: usize| (0..n).map(|i| format!("a{i}")).collect::<Vec<_>>();
        assert!(Members::dictionary(many(128).join(",").as_bytes()).is_some());
        assert!(Members::dictionary(many(129).join(",").as_bytes()).is_none());
        assert!(Item::parse(format!("1;{}", many(129).join(";")).as_bytes()).is_none());
    }
}
