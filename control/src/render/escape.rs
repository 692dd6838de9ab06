//! How values get into the template: as JSON, always, which is YAML too.
//!
//! The template engine is told to write every value as JSON, so no value can end its quotes and none can be
//! forgotten. What is not plain ASCII is then written as YAML's escapes: YAML allows fewer signs unescaped
//! than JSON, and readers differ on which of them end a line.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

/// Fills a template in.
///
/// # Errors
/// The template is wrong or names what is not there.
pub(super) fn fill(template: &str, values: impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    Ok(ascii(&environment.render_str(template, Serde(values))?))
}

/// Escapes what is not ASCII. The template itself is, so whatever is not stands inside quotes.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            0x0a | 0x20..=0x7e => escaped.push(c),
            code @ ..=0xffff => escaped.push_str(&format!("\\u{code:04x}")),
            code => escaped.push_str(&format!("\\U{code:08x}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn no_value_can_leave_its_place() {
        for value in [
            "plain",
            "quote\" }: [",
            "\n- injected: true\n",
            "\\",
            "{{ 7 * 7 }}",
            "{% raw %}",
            "# comment",
            "' & < > '",
            "\u{85}\u{2028}\u{2029}\u{feff}\u{7f}\u{0}\u{1b}",
            "é 漢 😀",
        ] {
            let filled =
                fill("a: {{ value }}\nb: [{{ value }}]\n", BTreeMap::from([("value", value)])).unwrap();
            assert!(filled.is_ascii(), "{value:?}");
            let read: serde_json::Value = serde_yaml_ng::from_str(&filled).unwrap();
            assert_eq!(read, serde_json::json!({"a": value, "b": [value]}), "{filled}");
        }
    }

    #[test]
    fn a_value_that_is_missing_is_an_error() {
        assert!(fill("{{ missing }}", BTreeMap::<&str, &str>::new()).is_err());
    }
}
