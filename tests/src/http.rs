//! Headers as they are: bytes, in order, duplicates kept.

use std::fmt;

/// Header fields in the order of the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// Every value of a name, which is compared in any case.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let same = |have: &[u8]| have.eq_ignore_ascii_case(name.as_bytes());
        self.0.iter().filter(|(have, _)| same(have)).map(|(_, value)| value.as_slice()).collect()
    }

    /// The one value of a name, as text.
    ///
    /// # Panics
    /// When there is more than one, or it is not UTF-8.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} is there {} times", all.len());
        all.first().map(|value| std::str::from_utf8(value).expect("a header of text"))
    }

    /// Whether the name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// Every name, in lower case.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase()).collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| {
                (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned())
            }))
            .finish()
    }
}
