use proptest::prelude::*;

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn read(body: &str) -> Result<Vec<Line>, Vec<Fault>> {
    parse(body.as_bytes(), false, NOW)
}

fn line_at(timestamp: Option<u64>) -> Line {
    Line {
        run_id: "r".to_owned(),
        level: "warn",
        message: "m".to_owned(),
        timestamp: timestamp.map(UnixMillis),
        agent: None,
    }
}

#[test]
fn a_line_is_read_as_the_original_reads_it() {
    for (rest, expected) in [
        ("", line_at(None)),
        (r#","timestamp":1700000000"#, line_at(Some(1_700_000_000_000))),
        (r#","timestamp":1700000000.1234"#, line_at(Some(1_700_000_000_123))),
        (r#","timestamp":1.7e9"#, line_at(Some(1_700_000_000_000))),
        (r#","timestamp":0"#, line_at(Some(0))),
        (r#","timestamp":"1700000000""#, line_at(Some(1_700_000_000_000))),
        (r#","timestamp":"1700000000.5""#, line_at(Some(1_700_000_000_500))),
        (r#","timestamp":"2023-11-14T22:13:20Z""#, line_at(Some(1_700_000_000_000))),
        (r#","agent":null"#, line_at(None)),
        (r#","agent":"planner""#, Line { agent: Some("planner".to_owned()), ..line_at(None) }),
        (r#","more":{"of":["it"]}"#, line_at(None)),
    ] {
        let body = format!(r#"{{"run_id":"r","level":"warn","message":"m"{rest}}}"#);
        assert_eq!(read(&body), Ok(vec![expected]), "{rest}");
    }
}

#[test]
fn every_level_of_the_originals_is_known_and_no_other() {
    for level in LEVELS {
        assert_eq!(
            read(&json!({"run_id": "", "level": level, "message": ""}).to_string()).unwrap()[0].level,
            level
        );
    }
    for level in ["INFO", "warning", "trace", "critical", "", "info "] {
        let faults = read(&json!({"run_id": "", "level": level, "message": ""}).to_string()).unwrap_err();
        assert_eq!(
            serde_json::to_value(faults).unwrap(),
            json!([{
                "type": "enum", "loc": ["body", "level"],
                "msg": "Input should be 'debug', 'info', 'warn', 'error' or 'fatal'",
                "ctx": {"expected": "'debug', 'info', 'warn', 'error' or 'fatal'"},
            }])
        );
    }
}

#[test]
fn a_mistake_is_told_with_its_place_and_not_with_what_stood_there() {
    let long = format!(r#"{{"run_id":"{}","level":"info","message":"m"}}"#, "r".repeat(257));
    let ahead =
        format!(r#"{{"run_id":"r","level":"info","message":"m","timestamp":{}}}"#, NOW.0 / 1000 + 90_000);
    let with =
        |timestamp: &str| format!(r#"{{"run_id":"r","level":"info","message":"m","timestamp":{timestamp}}}"#);
    for (body, kind, loc) in [
        ("", "missing", json!(["body"])),
        (" \n ", "missing", json!(["body"])),
        ("hunter2", "json_invalid", json!(["body"])),
        (r#"{"run_id":"#, "json_invalid", json!(["body"])),
        ("\"hunter2\"", "model_attributes_type", json!(["body"])),
        ("null", "model_attributes_type", json!(["body"])),
        ("[[]]", "model_attributes_type", json!(["body", 0])),
        (r#"{"level":"info","message":"m"}"#, "missing", json!(["body", "run_id"])),
        (r#"{"run_id":"r","message":"m"}"#, "missing", json!(["body", "level"])),
        (r#"{"run_id":"r","level":"info"}"#, "missing", json!(["body", "message"])),
        (r#"{"run_id":7,"level":"info","message":"m"}"#, "string_type", json!(["body", "run_id"])),
        (r#"{"run_id":"r","level":"info","message":null}"#, "string_type", json!(["body", "message"])),
        (r#"{"run_id":"r","level":3,"message":"m"}"#, "enum", json!(["body", "level"])),
        (r#"{"run_id":"r","level":"info","message":"m","agent":1}"#, "string_type", json!(["body", "agent"])),
        (&long, "string_too_long", json!(["body", "run_id"])),
        (&with("null"), "float_type", json!(["body", "timestamp"])),
        (&with("true"), "float_type", json!(["body", "timestamp"])),
        (&with("-1"), "value_error", json!(["body", "timestamp"])),
        (&with("1e300"), "value_error", json!(["body", "timestamp"])),
        (&with("\"hunter2\""), "float_parsing", json!(["body", "timestamp"])),
        (&with("\"NaN\""), "float_parsing", json!(["body", "timestamp"])),
        (&with("\"inf\""), "float_parsing", json!(["body", "timestamp"])),
        (&ahead, "value_error", json!(["body", "timestamp"])),
    ] {
        let faults = serde_json::to_value(read(body).unwrap_err()).unwrap();
        assert_eq!((&faults[0]["type"], &faults[0]["loc"]), (&json!(kind), &loc), "{body}");
        assert!(faults[0]["msg"].is_string() && faults[1].is_null(), "{body}: {faults}");
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
    }
}

#[test]
fn several_lines_come_as_an_array_or_one_below_the_other() {
    let line = r#"{"run_id":"r","level":"warn","message":"m"}"#;
    let three = vec![line_at(None); 3];
    let array = format!("[{line},{line},\n {line}]");
    let lines = format!("{line}\n\r\n  {line}\r\n{line}");
    assert_eq!(read(&array), Ok(three.clone()));
    assert_eq!(read(&lines), Ok(three.clone()));
    assert_eq!(parse(lines.as_bytes(), true, NOW), Ok(three));
    assert_eq!(parse(line.as_bytes(), true, NOW), Ok(vec![line_at(None)]));
    assert_eq!(read("[]"), Ok(Vec::new()));
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(line).unwrap()).unwrap();
    assert_eq!(read(&pretty), Ok(vec![line_at(None)]));
}

#[test]
fn one_wrong_line_is_named_among_many() {
    let good = r#"{"run_id":"r","level":"warn","message":"m"}"#;
    let bad = r#"{"run_id":"r","level":"loud"}"#;
    for body in [format!("[{good},{bad},{good}]"), format!("{good}\n\n{bad}\n{good}\n")] {
        let faults = serde_json::to_value(read(&body).unwrap_err()).unwrap();
        assert_eq!(faults[0]["loc"], json!(["body", 1, "level"]), "{body}");
        assert_eq!(faults[1]["loc"], json!(["body", 1, "message"]), "{body}");
    }
    let faults = serde_json::to_value(read(&format!("{good}\n{{x\n{good}")).unwrap_err()).unwrap();
    assert_eq!((&faults[0]["type"], &faults[0]["loc"]), (&json!("json_invalid"), &json!(["body", 1])));
}

#[test]
fn there_is_a_most_of_lines_and_of_mistakes() {
    let line = r#"{"run_id":"r","level":"warn","message":"m"}"#;
    let array = |count: usize| format!("[{}]", vec![line; count].join(","));
    let lines = |count: usize| vec![line; count].join("\n");
    for body in [array(MAX_LINES), lines(MAX_LINES)] {
        assert_eq!(read(&body).unwrap().len(), MAX_LINES);
    }
    for body in [array(MAX_LINES + 1), lines(MAX_LINES + 1)] {
        assert_eq!(read(&body).unwrap_err()[0].kind, "too_long");
    }
    assert_eq!(read(&format!("[{}]", vec!["{}"; MAX_LINES].join(","))).unwrap_err().len(), MAX_FAULTS);
}

#[test]
fn deep_nesting_is_a_mistake_and_no_crash() {
    assert_eq!(read(&"[".repeat(100_000)).unwrap_err()[0].kind, "json_invalid");
    assert_eq!(read(&"{\"a\":".repeat(100_000)).unwrap_err()[0].kind, "json_invalid");
}

#[test]
fn nothing_of_what_was_said_is_shown() {
    assert!(!format!("{:?}", Line { message: "hunter2".to_owned(), ..line_at(None) }).contains("hunter2"));
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300), is_lines: bool) {
        let _ = parse(&body, is_lines, NOW);
    }

    #[test]
    fn no_timestamp_makes_it_panic(seconds: f64, text in ".{0,30}") {
        let _ = read(&json!({"run_id": "", "level": "info", "message": "", "timestamp": seconds}).to_string());
        let _ = read(&json!({"run_id": "", "level": "info", "message": "", "timestamp": text}).to_string());
    }
}
