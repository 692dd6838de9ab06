//! Every text means the same however it is cut, and what `serde_json` makes of it.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

/// Events with their spans, the pieces of a string put together.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Mark(&'static str, Span),
    Name(Option<String>, Span),
    Text(String, Span),
    Number(Option<String>, Span),
}

#[derive(Default)]
struct Log {
    told: Vec<Told>,
    open: Option<(String, u64)>,
}

impl Events for Log {
    fn event(&mut self, event: Event<'_>, span: Span) {
        let told = match event {
            Event::BeginObject => Told::Mark("{", span),
            Event::EndObject => Told::Mark("}", span),
            Event::BeginArray => Told::Mark("[", span),
            Event::EndArray => Told::Mark("]", span),
            Event::Bool(true) => Told::Mark("true", span),
            Event::Bool(false) => Told::Mark("false", span),
            Event::Null => Told::Mark("null", span),
            Event::Name(name) => Told::Name(name.map(str::to_owned), span),
            Event::Number(number) => Told::Number(number.map(str::to_owned), span),
            Event::BeginString => {
                assert!(self.open.is_none());
                self.open = Some((String::new(), span.start));
                return;
            }
            Event::Text(piece) => {
                assert!(!piece.is_empty());
                self.open.as_mut().unwrap().0.push_str(piece);
                return;
            }
            Event::EndString => {
                let (text, start) = self.open.take().unwrap();
                Told::Text(text, Span { start, end: span.end })
            }
        };
        self.told.push(told);
    }
}

fn read(chunks: &[&[u8]]) -> Result<Vec<Told>, ScanError> {
    let mut scanner = Scanner::new();
    let mut log = Log::default();
    for chunk in chunks {
        scanner.push(chunk, &mut log)?;
    }
    scanner.finish(&mut log)?;
    Ok(log.told)
}

/// The value that the events tell, as `serde_json` would hold it: the last of members with one name.
fn value(told: &[Told]) -> Value {
    fn next(told: &mut core::slice::Iter<'_, Told>) -> Option<Value> {
        Some(match told.next().unwrap() {
            Told::Mark("{", _) => {
                let mut members = Map::new();
                while let Told::Name(name, _) = told.next().unwrap() {
                    members.insert(name.clone().unwrap(), next(told).unwrap());
                }
                Value::Object(members)
            }
            Told::Mark("[", _) => {
                let mut elements = Vec::new();
                while let Some(element) = next(told) {
                    elements.push(element);
                }
                Value::Array(elements)
            }
            Told::Mark("true", _) => Value::Bool(true),
            Told::Mark("false", _) => Value::Bool(false),
            Told::Mark("null", _) => Value::Null,
            Told::Mark(..) => return None,
            Told::Text(text, _) => Value::String(text.clone()),
            Told::Number(number, _) => serde_json::from_str(number.as_ref().unwrap()).unwrap(),
            Told::Name(..) => panic!("a name where a value belongs"),
        })
    }
    next(&mut told.iter()).unwrap()
}

const TEXTS: &[&str] = &[
    r#"{"model":"m","messages":[{"role":"user","content":"Grüße, 世界 🦀"}],"n":1,"x":-0.5e+10}"#,
    r#"[true,false,null,0,-0,10,1.5,1e309,-1E-9,"",{},[]]"#,
    "\t\r\n {\"a\" :\n[ 1 , 2 ] , \"b\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"} \n",
    r#"{"\u0061\ud83e\udd80":"\u0000\u00e9\u4e16\uD83E\uDD80 \ud83e x \udd80\ud83e\ud83e\udd80\ud83e"}"#,
    r#""text""#,
    "12",
    "true",
];

#[test]
fn every_cut_in_two_tells_the_same() {
    for text in TEXTS {
        let whole = read(&[text.as_bytes()]).unwrap();
        for at in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(at);
            assert_eq!(read(&[first, second]).as_ref(), Ok(&whole), "{text} cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), Ok(whole), "{text} byte by byte");
    }
}

#[test]
fn spans_hold_what_was_read() {
    let text = r#"{"a":[12,"x\ny",true],"bc":null}"#;
    let at = |span: &Span| text.get(span.start as usize..span.end as usize).unwrap();
    let told = read(&[text.as_bytes()]).unwrap();
    let spans: Vec<&str> = told
        .iter()
        .map(|told| match told {
            Told::Mark(_, span) | Told::Name(_, span) | Told::Text(_, span) | Told::Number(_, span) => {
                at(span)
            }
        })
        .collect();
    assert_eq!(spans, ["{", "\"a\"", "[", "12", "\"x\\ny\"", "true", "]", "\"bc\"", "null", "}"]);
}

#[test]
fn half_a_pair_stands_for_a_replacement_character() {
    for (text, expected) in [
        (r#""\ud83e""#, "\u{fffd}"),
        (r#""\ud83ea""#, "\u{fffd}a"),
        (r#""\udd80""#, "\u{fffd}"),
        (r#""\ud83e\n""#, "\u{fffd}\n"),
        (r#""\ud83e\u0041""#, "\u{fffd}A"),
        (r#""\ud83e\ud83e\udd80""#, "\u{fffd}\u{1f980}"),
        (r#""\ud83eä""#, "\u{fffd}ä"),
    ] {
        let told = read(&[text.as_bytes()]).unwrap();
        assert_eq!(value(&told), Value::String(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_not_json_is_an_error_that_stays() {
    for text in [
        &b"{}x"[..],
        b"{} {}",
        b"1 2",
        b"{'a':1}",
        b"{\"a\":}",
        b"{\"a\" 1}",
        b"{,}",
        b"{\"a\":1,}",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[}",
        b"{]",
        b"]",
        b",",
        b"NaN",
        b"Infinity",
        b"tru ",
        b"nul1",
        b"01",
        b"-",
        b"- 1",
        b"1.",
        b"1.e5",
        b"1e",
        b"1e+",
        b".5",
        b"+1",
        b"0x1",
        b"\"\n\"",
        b"\"\\x\"",
        b"\"\\u12g4\"",
        b"\"\xff\"",
        b"\"\xc3\"",
        b"\"\xc3\\n\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf8\x88\x80\x80\x80\"",
        b"\xef\xbb\xbf{}",
        b"// x\n{}",
        b"\0{}",
    ] {
        let whole = read(&[text]);
        assert!(whole.is_err(), "{:?}", String::from_utf8_lossy(text));
        for at in 0..=text.len() {
            let (first, second) = text.split_at(at);
            assert!(read(&[first, second]).is_err(), "{:?} cut at {at}", String::from_utf8_lossy(text));
        }
    }
    let mut scanner = Scanner::new();
    let mut log = Log::default();
    assert_eq!(scanner.push(b"{]", &mut log), Err(ScanError::Malformed(1)));
    assert_eq!(scanner.push(b"}", &mut log), Err(ScanError::Malformed(1)));
    assert_eq!(scanner.finish(&mut log), Err(ScanError::Malformed(1)));
}

#[test]
fn what_ends_early_is_truncated() {
    for text in ["", " ", "{", "[1,", "{\"a\"", "{\"a\":", "\"a", "\"\\", "\"\\u00", "tru", "-", "1e", "[[]"]
    {
        assert_eq!(read(&[text.as_bytes()]), Err(ScanError::Truncated), "{text:?}");
    }
}

#[test]
fn nesting_has_a_bottom() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = |depth: usize| {
            let inner = if open == "[" { "" } else { "1" };
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        assert!(read(&[deep(128).as_bytes()]).is_ok());
        assert!(matches!(read(&[deep(129).as_bytes()]), Err(ScanError::Deep(_))));
        assert!(matches!(read(&[deep(100_000).as_bytes()]), Err(ScanError::Deep(_))));
    }
}

#[test]
fn what_is_too_long_is_told_without_its_text() {
    let name = "n".repeat(MAX_NAME);
    for (name, is_told) in [(name.clone(), true), (name.clone() + "n", false), (name + "\\u006e", false)] {
        let text = format!("{{\"{name}\":1}}");
        for cut in [0, 1, 5, 100, text.len()] {
            let (first, second) = text.as_bytes().split_at(cut);
            let told = read(&[first, second]).unwrap();
            assert!(
                matches!(&told[1], Told::Name(told, _) if told.is_some() == is_told),
                "{} {cut}",
                name.len()
            );
        }
    }
    let told = read(&["1".repeat(MAX_NUMBER + 1).as_bytes()]).unwrap();
    assert_eq!(told, [Told::Number(None, Span { start: 0, end: 65 })]);
}

#[test]
fn a_long_string_is_handed_on_and_not_kept() {
    let text = format!("\"{}\"", "aé\\n".repeat(250_000));
    let mut scanner = Scanner::new();
    let mut bytes = 0;
    let mut count = |event: Event<'_>, _: Span| {
        if let Event::Text(piece) = event {
            bytes += piece.len();
        }
    };
    for chunk in text.as_bytes().chunks(16_384) {
        scanner.push(chunk, &mut count).unwrap();
    }
    scanner.finish(&mut count).unwrap();
    assert_eq!(scanner.kept.capacity(), 0);
    assert_eq!(bytes, 1_000_000);
}

/// Any JSON value.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(Value::from),
        ".*".prop_map(Value::String),
        "[\\x00-\\x7f\"\\\\é世🦀]{0,40}".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((".{0,20}", inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Nearly JSON: its own letters in any order.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "\\", "\\n", "\\u0041", "u", "0", "1", "-",
        ".", "e", "+", "true", "false", "null", " ", "\n", "é", "x",
    ]);
    prop::collection::vec(scrap, 0..12).prop_map(|scraps| scraps.concat())
}

/// Cut into pieces of any size.
fn cut<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = text;
    let mut chunks = Vec::new();
    for size in sizes {
        let (first, later) = rest.split_at((*size).min(rest.len()));
        chunks.push(first);
        rest = later;
    }
    chunks.push(rest);
    chunks
}

proptest! {
    #[test]
    fn every_value_is_read_as_it_was_written(value_in in values(), pretty: bool, sizes in prop::collection::vec(0_usize..20, 0..20)) {
        let text = if pretty { serde_json::to_vec_pretty(&value_in) } else { serde_json::to_vec(&value_in) }.unwrap();
        let told = read(&cut(&text, &sizes)).unwrap();
        let expected: Value = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(value(&told), expected);
    }

    #[test]
    fn what_serde_takes_is_taken_and_nothing_else(text in scraps(), sizes in prop::collection::vec(0_usize..6, 0..6)) {
        let told = read(&cut(text.as_bytes(), &sizes));
        // A number beyond an f64 is JSON all the same, though not for it.
        let theirs = serde_json::from_str::<Value>(&text);
        let is_out_of_range = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        if !is_out_of_range {
            prop_assert_eq!(told.is_ok(), theirs.is_ok(), "{}", text);
        }
        if let (Ok(told), Ok(theirs)) = (told, theirs) {
            prop_assert_eq!(value(&told), theirs);
        }
    }

    #[test]
    fn any_bytes_cut_anywhere_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..64), in_string: bool, sizes in prop::collection::vec(0_usize..9, 0..9)) {
        let text = if in_string { [b"[\"", bytes.as_slice(), b"\"]"].concat() } else { bytes };
        let whole = read(&[&text]);
        prop_assert_eq!(read(&cut(&text, &sizes)), whole.clone());
        if in_string && serde_json::from_slice::<Value>(&text).is_ok() {
            prop_assert!(whole.is_ok());
        }
    }
}
