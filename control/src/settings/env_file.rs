//! The syntax of `.env`, as python-dotenv reads it, since that is what the original's files were written for.
//!
//! 1. `KEY=value` or `export KEY=value`, spaces around `=` allowed; blank lines and `#` lines are skipped.
//! 2. `'…'` is literal but for `\'` and `\\`; `"…"` also knows `\"`, `\n`, `\r` and `\t`; both may span lines.
//! 3. An unquoted value ends at ` #` (a comment) or the end of the line and is trimmed.
//! 4. A later line wins over an earlier one of the same key.
//!
//! `${NAME}` is not expanded: the checker refuses it where it would matter, so that no value means
//! something else than it did.

/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 256 * 1024;

/// One `KEY=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub key: String,
    /// The value without quotes.
    pub value: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// A line that cannot be read. It does not quote the line: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What to write instead.
    pub message: &'static str,
}

/// Reads the whole text; one bad line does not hide the others.
#[must_use]
pub fn parse(text: &str) -> (Vec<Entry>, Vec<BadLine>) {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    while !reader.rest.is_empty() {
        let line = reader.line;
        match reader.entry() {
            Ok(Some((key, value))) => entries.push(Entry { key, value, line }),
            Ok(None) => {}
            Err(message) => bad.push(BadLine { line, message }),
        }
        reader.skip_line();
    }
    (entries, bad)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// One entry, leaving the reader on its last line; `None` for a blank line or a comment.
    fn entry(&mut self) -> Result<Option<(String, String)>, &'static str> {
        self.skip_blanks();
        if matches!(self.peek(), None | Some('#' | '\n' | '\r')) {
            return Ok(None);
        }
        let mut key = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if key == "export" && matches!(self.peek(), Some(' ' | '\t')) {
            self.skip_blanks();
            key = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        }
        self.skip_blanks();
        if key.is_empty() || self.peek() != Some('=') {
            return Err("is not KEY=value; begin a comment with '#'");
        }
        self.bump();
        self.skip_blanks();
        let value = match self.peek() {
            Some(quote @ ('\'' | '"')) => {
                self.bump();
                let value = self.quoted(quote)?;
                self.skip_blanks();
                if !matches!(self.peek(), None | Some('#' | '\n' | '\r')) {
                    return Err(
                        "has text after the closing quote; quote the whole value or begin a comment with '#'",
                    );
                }
                value
            }
            _ => unquoted(&self.take_while(|c| c != '\n')),
        };
        Ok(Some((key, value)))
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let (start, start_line) = (self.rest, self.line);
        let mut value = String::new();
        while let Some(c) = self.bump() {
            match c {
                _ if c == quote => return Ok(value),
                '\\' => match (quote, self.peek()) {
                    (_, Some(next)) if next == quote || next == '\\' => {
                        value.push(next);
                        self.bump();
                    }
                    ('"', Some(next @ ('n' | 'r' | 't'))) => {
                        value.push(match next {
                            'n' => '\n',
                            'r' => '\r',
                            _ => '\t',
                        });
                        self.bump();
                    }
                    _ => value.push('\\'),
                },
                _ => value.push(c),
            }
        }
        // Without its end the quote would swallow every later line: give up this line alone.
        self.rest = start;
        self.line = start_line;
        Err("has a quote that is never closed")
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| keep(*c)) {
            taken.push(c);
            self.bump();
        }
        taken
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.bump();
        }
    }

    fn skip_line(&mut self) {
        while let Some(c) = self.bump() {
            if c == '\n' {
                return;
            }
        }
    }
}

/// Cuts ` # comment` and spaces off. A `#` inside a word belongs to it.
fn unquoted(text: &str) -> String {
    let mut blank_before = true;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        if c == '#' && blank_before {
            end = at;
            break;
        }
        blank_before = c.is_whitespace();
    }
    text.get(..end).unwrap_or(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(text: &str) -> String {
        let (entries, bad) = parse(text);
        assert_eq!(bad, [], "{text:?}");
        assert_eq!(entries.len(), 1, "{text:?}: {entries:?}");
        entries[0].value.clone()
    }

    #[test]
    fn every_spelling_of_the_originals_file_is_read() {
        for (text, expected) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("  A = b  ", "b"),
            ("A=auth0 # auth0 | descope | okta | etc.", "auth0"),
            ("A=null ", "null"),
            ("A=a#b", "a#b"),
            ("A=a b", "a b"),
            ("A=", ""),
            ("A= # nothing", ""),
            ("A='b # c'", "b # c"),
            ("A=\"b # c\" # d", "b # c"),
            (r#"A="a\"b\\c\nd\e""#, "a\"b\\c\nd\\e"),
            (r"A='a\nb\'c'", r"a\nb'c"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=b\r\n", "b"),
            ("A=\"b\"\r\n", "b"),
            ("\u{feff}A=b", "b"),
            ("A=x=y", "x=y"),
            ("export=b", "b"),
        ] {
            assert_eq!(value_of(text), expected, "{text:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_and_lines_counted() {
        let (entries, bad) = parse("# A=1\n\n   # B=2\nC=3\nD=\"x\ny\"\nE=5");
        assert_eq!(bad, []);
        let seen: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.line)).collect();
        assert_eq!(seen, [("C", 4), ("D", 5), ("E", 7)]);
    }

    #[test]
    fn a_bad_line_does_not_hide_the_next_one() {
        let (entries, bad) = parse("oops\nA='open\nB=2\n=x\nC=\"a\" b\nD=4");
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [1, 2, 4, 5]);
        assert_eq!(entries.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["B", "D"]);
    }
}
