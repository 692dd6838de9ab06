//! One look at a request's headers.
//!
//! A host call that returns data costs more than everything else the filter does on a verified request,
//! and the whole map costs what one header costs. So the map is taken once and read here, once.

/// Headers as the host gives them: name and value bytes, which need not be UTF-8.
pub type Pairs = [(String, Vec<u8>)];

/// What the filter needs of a request's headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:path` up to the query; raw, see [`plain_path`].
    pub path: &'a [u8],
    /// `user-agent`, the first one.
    pub user_agent: &'a [u8],
    /// `authorization`.
    pub authorization: Field<'a>,
    /// Whether any spelling of an `X-Attach-*` header is there.
    pub has_attach: bool,
    /// Whether a message signature is there, or a part of one (RFC 9421 section 4).
    pub has_signature: bool,
    /// Whether the connection becomes something else than HTTP: what follows is no body.
    pub is_upgrade: bool,
}

/// A header that must not be there twice.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Field<'a> {
    /// Not there.
    #[default]
    Absent,
    /// There, once.
    One(&'a [u8]),
    /// There more than once.
    Many,
}

impl core::fmt::Debug for Field<'_> {
    /// The header is a credential: its value is never shown.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::One(_) => "One(…)",
            Self::Many => "Many",
        })
    }
}

impl<'a> RequestHead<'a> {
    /// Reads the map.
    #[must_use]
    pub fn read(pairs: &'a Pairs) -> Self {
        let mut head = Self::default();
        for (name, value) in pairs {
            // Envoy lower-cases names; the length sorts out almost all of them before any comparison.
            match (name.len(), name.as_str()) {
                (5, ":path") => {
                    head.path = value.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
                }
                (7, ":method") => {
                    head.method = value;
                    head.is_upgrade |= value == b"CONNECT";
                }
                (7, "upgrade") => head.is_upgrade = true,
                (9, "signature") | (15, "signature-input") => head.has_signature = true,
                (10, "user-agent") if head.user_agent.is_empty() => head.user_agent = value,
                (13, "authorization") => {
                    head.authorization = match head.authorization {
                        Field::Absent => Field::One(value),
                        Field::One(_) | Field::Many => Field::Many,
                    };
                }
                _ => head.has_attach |= is_attach(name),
            }
        }
        head
    }
}

/// What `content-length` says. Envoy's codec refuses what is no number; a number that is none counts as the
/// largest.
#[must_use]
pub fn content_length(pairs: &Pairs) -> Option<u64> {
    let (_, value) = pairs.iter().find(|(name, _)| name == "content-length")?;
    Some(core::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX))
}

/// Whether a header is the gateway's own, in any spelling: `X-Attach-User`, `x_attach_user`, `X-ATTACH_User`.
///
/// Servers that follow CGI (RFC 3875 section 4.1.18) cannot tell `-` from `_`, so neither may the filter.
#[must_use]
pub fn is_attach(name: &str) -> bool {
    const PREFIX: &[u8] = b"x-attach-";
    let name = name.as_bytes();
    name.len() >= PREFIX.len()
        && name.iter().zip(PREFIX).all(|(have, want)| match have {
            b'_' => *want == b'-',
            have => have.to_ascii_lowercase() == *want,
        })
}

/// The path if it can be read in one way only.
///
/// The rendered listener normalises paths and rejects escaped slashes; other listeners may not. A path
/// that a later hop could read as another one (`//`, `.`, `..`, `%2F`, `%2E`, `%5C`, `\`, control bytes)
/// is therefore refused instead of judged.
#[must_use]
pub fn plain_path(path: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(path).ok()?;
    let rest = text.strip_prefix('/')?;
    if path.iter().any(|b| !b.is_ascii_graphic() || *b == b'\\') {
        return None;
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if (segment.is_empty() && !last) || segment == "." || segment == ".." {
            return None;
        }
    }
    for (at, byte) in path.iter().enumerate() {
        if *byte == b'%' {
            let escape = path.get(at.checked_add(1)?..at.checked_add(3)?)?;
            let code = u8::from_str_radix(core::str::from_utf8(escape).ok()?, 16).ok()?;
            // '+' parses as a sign; and what hides a separator, a dot or a control byte is not plain.
            if !escape.iter().all(u8::is_ascii_hexdigit)
                || code < 0x20
                || matches!(code, b'/' | b'\\' | b'.' | b'%' | 0x7f)
            {
                return None;
            }
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_attach_header_is_recognised() {
        for name in
            ["x-attach-user", "X-Attach-User", "x_attach_user", "X-ATTACH_session", "x-attach-", "x_attach-"]
        {
            assert!(is_attach(name), "{name}");
        }
        for name in ["x-attach", "x-attached-user", "attach-user", "x--attach-user", "", "x-attac_-user"] {
            assert!(!is_attach(name), "{name}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_two_ways_is_not_plain() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b%20c",
            "/.well-known/x",
            "/a..b",
            "/%41",
            "/a;b=c",
            "/é%C3%A9".trim_start_matches("/é"),
        ] {
            assert_eq!(plain_path(path.as_bytes()).is_some(), path.starts_with('/'), "{path}");
        }
        for path in [
            "",
            "a",
            "*",
            "//",
            "//a",
            "/a//b",
            "/./a",
            "/a/.",
            "/a/..",
            "/../a",
            "/a/..%2fapi",
            "/a/%2e%2e/b",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/a b",
            "/a\u{7f}",
            "/\u{e9}",
            "/%252e",
        ] {
            assert_eq!(plain_path(path.as_bytes()), None, "{path}");
        }
        assert_eq!(plain_path(b"/\xff"), None);
    }

    #[test]
    fn a_doubled_authorization_header_is_neither_of_them() {
        let one = |v: &str| ("authorization".to_owned(), v.as_bytes().to_vec());
        assert_eq!(RequestHead::read(&[one("a")]).authorization, Field::One(b"a"));
        assert_eq!(RequestHead::read(&[one("a"), one("a")]).authorization, Field::Many);
        assert_eq!(RequestHead::read(&[]).authorization, Field::Absent);
    }

    #[test]
    fn the_query_is_no_part_of_the_path() {
        let pairs = [(":path".to_owned(), b"/a/b?c=/auth/config#d".to_vec())];
        assert_eq!(RequestHead::read(&pairs).path, b"/a/b");
    }
}
