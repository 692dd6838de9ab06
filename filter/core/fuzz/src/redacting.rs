//! Any text is redacted, and once is enough.

use attach_core::redact::{CustomPattern, Redactor, Rules};

thread_local! {
    static OWN: Redactor = redactor(&[]);
    static CUSTOM: Redactor = redactor(&[("employee", r"\bEMP-\d{6}\b"), ("line", "x.*y")]);
}

fn redactor(custom: &[(&str, &str)]) -> Redactor {
    let one =
        |(kind, pattern): &(&str, &str)| CustomPattern { kind: (*kind).into(), pattern: (*pattern).into() };
    Redactor::new(&Rules { national_ids: true, custom: custom.iter().map(one).collect() }).unwrap()
}

/// A text, whole and cut.
///
/// # Panics
/// When what was redacted is not for good.
pub fn redact(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    OWN.with(|own| {
        let once = own.redact(&text);
        assert_eq!(own.redact(&once), once, "redacted twice");
        let cut = own.redact_cut(&text);
        assert_eq!(own.redact(&cut), cut, "cut and redacted");
    });
    CUSTOM.with(|custom| {
        let _ = (custom.redact(&text), custom.redact_cut(&text));
    });
}
