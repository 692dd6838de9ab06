//! One line of the text format with a value: `name{label="value",…} 1`.

use std::borrow::Cow;

/// The most labels of one sample.
const MAX_LABELS: usize = 32;

/// A sample, as it stands on its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Names and values of its labels, values as they are meant.
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    /// Its value.
    pub(super) value: &'a str,
}

impl<'a> Sample<'a> {
    /// Reads a line; `None`: it is not one of a sample without a time.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at_checked(end)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = rest.strip_prefix(' ')?;
        (is_name(name) && number(value).is_some()).then_some(Self { name, labels, value })
    }

    /// Writes the line, under another name.
    pub(super) fn write(&self, name: &str, page: &mut String) {
        page.push_str(name);
        for (at, (label, value)) in self.labels.iter().enumerate() {
            page.push(if at == 0 { '{' } else { ',' });
            page.push_str(label);
            page.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => page.push_str("\\\\"),
                    '"' => page.push_str("\\\""),
                    '\n' => page.push_str("\\n"),
                    other => page.push(other),
                }
            }
            page.push('"');
        }
        if !self.labels.is_empty() {
            page.push('}');
        }
        page.push(' ');
        page.push_str(self.value);
        page.push('\n');
    }
}

/// What stands between the braces, and what follows them.
#[expect(clippy::type_complexity, reason = "it is read once")]
fn labels(mut rest: &str) -> Option<(Vec<(&str, Cow<'_, str>)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = value(quoted)?;
        if !is_name(name) || labels.len() == MAX_LABELS || labels.iter().any(|(have, _)| *have == name) {
            return None;
        }
        labels.push((name, value));
        rest = match behind.strip_prefix(',') {
            Some(behind) => behind,
            None if behind.starts_with('}') => behind,
            None => return None,
        };
    }
}

/// A label's value up to its quotation mark, and what follows that.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = Cow::Borrowed("");
    let mut rest = text;
    loop {
        let (plain, mark) = rest.split_at_checked(rest.find(['"', '\\'])?)?;
        value += plain;
        if let Some(rest) = mark.strip_prefix('"') {
            return Some((value, rest));
        }
        let mut escaped = mark.chars();
        escaped.next();
        value.to_mut().push(match escaped.next()? {
            'n' => '\n',
            sign @ ('\\' | '"') => sign,
            _ => return None,
        });
        rest = escaped.as_str();
    }
}

/// A label's value without what the filter wrote otherwise because it would have ended the label
/// ([`attach_core::meter::label`]). Control characters and `%` itself stay as it wrote them: so two values never
/// become the same, and no reader stumbles.
pub(super) fn unwritten(value: Cow<'_, str>) -> Cow<'_, str> {
    const SIGNS: [(&str, &str); 5] = [("%3B", ";"), ("%3D", "="), ("%22", "\""), ("%5C", "\\"), ("%2E", ".")];
    if !value.contains('%') {
        return value;
    }
    SIGNS.iter().fold(value.into_owned(), |value, (written, sign)| value.replace(written, sign)).into()
}

/// Whether a text can name a metric or a label here.
pub(super) fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// A value: a number, `NaN`, `+Inf` or `-Inf`.
pub(super) fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        digits
            if digits
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) =>
        {
            digits.parse().ok()
        }
        _ => None,
    }
}

/// The thousandth of a value.
pub(super) fn thousandth(text: &str) -> Option<String> {
    let number = number(text)?;
    Some(if number.is_finite() { (number / 1000.0).to_string() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use attach_core::meter::label::label;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sample_is_read_as_it_is_meant() {
        for (line, name, labels, value) in [
            ("a_b 1", "a_b", &[][..], "1"),
            ("a{} 18446744073709551615", "a", &[], "18446744073709551615"),
            (r#"a{le="+Inf"} NaN"#, "a", &[("le", "+Inf")], "NaN"),
            (r#"a{x="} 5",y="",} 1.5e+10"#, "a", &[("x", "} 5"), ("y", "")], "1.5e+10"),
            (r#"a{x="q\"\\\nü, y=\"1"} 0"#, "a", &[("x", "q\"\\\nü, y=\"1")], "0"),
        ] {
            let sample = Sample::read(line).expect(line);
            let have: Vec<_> = sample.labels.iter().map(|(name, value)| (*name, &**value)).collect();
            assert_eq!((sample.name, &*have, sample.value), (name, labels, value), "{line}");
        }
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for line in [
            "",
            "a",
            "a ",
            "a  1",
            "a 1 1700000000",
            "a one",
            "a inf",
            "a 1 ",
            "1a 1",
            "a:b 1",
            "{} 1",
            "a{} ",
            "a{}1",
            "a{ 1",
            r#"a{x="1" 1"#,
            r#"a{x="1} 1"#,
            r#"a{x=1} 1"#,
            r#"a{="1"} 1"#,
            r#"a{,x="1"} 1"#,
            r#"a{x="1",,y="2"} 1"#,
            r#"a{x="1"y="2"} 1"#,
            r#"a{x="1",x="2"} 1"#,
            r#"a{x="\t"} 1"#,
            r#"a{x="\"#,
        ] {
            assert_eq!(Sample::read(line), None, "{line:?}");
        }
        let many: String = (0..=MAX_LABELS).map(|at| format!("l{at}=\"\",")).collect();
        assert_eq!(Sample::read(&format!("a{{{many}}} 1")), None);
    }

    #[test]
    fn thousandths_are_plain_numbers() {
        for (text, expected) in [
            ("0", "0"),
            ("0.5", "0.0005"),
            ("1000", "1"),
            ("3600000", "3600"),
            ("+Inf", "+Inf"),
            ("NaN", "NaN"),
            ("1e+21", "1000000000000000000"),
        ] {
            assert_eq!(thousandth(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(thousandth("x"), None);
    }

    #[test]
    fn a_user_is_shown_by_its_name() {
        for (value, expected) in [
            ("auth0|\"bob\" \\ {x=\"1\"}", "auth0|\"bob\" \\ {x=\"1\"}"),
            ("a;b", "a;b"),
            ("100%", "100%25"),
            ("%3B", "%253B"),
            ("a\0\n", "a%00%0A"),
        ] {
            assert_eq!(unwritten(label(value)), expected);
        }
    }

    proptest! {
        #[test]
        fn two_users_are_never_shown_as_one(one in "[;=%3BD25C\"\\\\\\x00]{0,12}", two in "[;=%3BD25C\"\\\\\\x00]{0,12}") {
            prop_assert_eq!(label(&one) == label(&two), unwritten(label(&one)) == unwritten(label(&two)));
        }

        #[test]
        fn whatever_a_label_says_comes_back(values in prop::collection::vec("(?s).{0,20}", 0..5)) {
            let names: Vec<String> = (0..values.len()).map(|at| format!("l{at}")).collect();
            let labels = names.iter().zip(&values);
            let labels = labels.map(|(name, value)| (name.as_str(), Cow::from(value.as_str()))).collect();
            let sample = Sample { name: "x", labels, value: "1" };
            let mut line = String::new();
            sample.write("x", &mut line);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(Sample::read(line.trim_end_matches('\n')), Some(sample.clone()));
        }

        #[test]
        fn no_line_makes_it_panic(line in "(?s)[a{}=\",\\\\ n1ü]{0,40}|(?s).{0,60}") {
            let _ = Sample::read(&line);
        }
    }
}
