//! `@query-param`: one parameter of the query (RFC 9421 section 2.2.8), parsed and written back as the URL
//! standard does for `application/x-www-form-urlencoded`.

use crate::authn::Refusal;

/// Appends the value of the parameter of that name, both percent-encoded.
///
/// # Errors
/// There is none of that name, or more than one: RFC 9421 forbids signing what a reader could pick from.
pub(super) fn write_parameter(query: &[u8], name: &str, out: &mut String) -> Result<(), Refusal> {
    let mut found = None;
    for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let have = encoded(halves.next().unwrap_or_default());
        if have == name && found.replace(halves.next().unwrap_or_default()).is_some() {
            return Err(Refusal::SignatureComponent);
        }
    }
    let value = found.ok_or(Refusal::SignatureComponentAbsent)?;
    out.push_str(&encoded(value));
    Ok(())
}

/// Decodes, as a form's reader does, and encodes again, so that every spelling becomes one.
fn encoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        rest = after;
        bytes.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, beyond @ ..]) => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    rest = beyond;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => *first,
        });
    }
    let mut out = String::with_capacity(bytes.len());
    for byte in String::from_utf8_lossy(&bytes).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    out.extend(
                        char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()),
                    );
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_as_a_form_and_written_in_one_way() {
        // The first eight are RFC 9421 section 2.2.8's.
        let plain = "param=value&foo=bar&baz=batman&qux=";
        let hard = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something";
        for (query, name, expected) in [
            (plain, "baz", Ok("batman")),
            (plain, "qux", Ok("")),
            (plain, "param", Ok("value")),
            (plain, "none", Err(Refusal::SignatureComponentAbsent)),
            (hard, "var", Ok("this%20is%20a%20big%0Amultiline%20value")),
            (hard, "bar", Ok("with%20plus%20whitespace")),
            (hard, "fa%C3%A7ade%22%3A%20", Ok("something")),
            (hard, "fa%c3%a7ade%22%3A%20", Err(Refusal::SignatureComponentAbsent)),
            ("a=1&a=2", "a", Err(Refusal::SignatureComponent)),
            ("a=1&%61=2", "a", Err(Refusal::SignatureComponent)),
            ("a&&b", "a", Ok("")),
            ("a=b=c", "a", Ok("b%3Dc")),
            ("a=%zz%4", "a", Ok("%25zz%254")),
            ("a=%ff", "a", Ok("%EF%BF%BD")),
            ("a=*-._~", "a", Ok("*-._%7E")),
            ("", "a", Err(Refusal::SignatureComponentAbsent)),
            ("", "", Err(Refusal::SignatureComponentAbsent)),
        ] {
            let mut out = String::new();
            let result = write_parameter(query.as_bytes(), name, &mut out);
            assert_eq!(result.map(|()| &*out), expected, "{name} of {query}");
        }
    }
}
