//! Lines that agents log, in Sakana's form: one object, an array of them, or one on each line (NDJSON).
//!
//! Mistakes are told as FastAPI tells them, since that is what the original's clients read: an array of
//! `{type, loc, msg}`. What stood there (`input`) is left out: it may be a secret.

use attach_core::clock::UnixMillis;
use attach_core::clock::date::{self, LAST_MILLISECOND};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The most lines of a request.
pub const MAX_LINES: usize = 1_000;
/// The longest name of a run or an agent, in bytes.
const MAX_NAME: usize = 256;
/// The most mistakes that are told.
const MAX_FAULTS: usize = 100;
/// How far ahead a line's clock may be, in milliseconds. A line of a far year would never be old enough to forget.
const AHEAD: u64 = 24 * 60 * 60 * 1000;

const LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];
const EXPECTED: &str = "'debug', 'info', 'warn', 'error' or 'fatal'";

/// A line.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose run it is.
    pub run_id: String,
    /// How grave it is.
    pub level: &'static str,
    /// What happened, as it came.
    pub message: String,
    /// When; `None`: now.
    pub timestamp: Option<UnixMillis>,
    /// Who says so.
    pub agent: Option<String>,
}

impl core::fmt::Debug for Line {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Line")
            .field("level", &self.level)
            .field("bytes", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// A step on the way to what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Step {
    /// A field.
    Field(&'static str),
    /// Which of several lines, from 0.
    At(usize),
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<Step>,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl Fault {
    fn new(kind: &'static str, loc: Vec<Step>, msg: impl Into<String>) -> Self {
        Self { kind, loc, msg: msg.into(), ctx: None }
    }

    fn with(mut self, ctx: Value) -> Self {
        self.ctx = Some(ctx);
        self
    }
}

/// Reads a body at `now`: all of its lines, or what is wrong with them. `is_lines`: its content type says NDJSON;
/// otherwise that is seen.
///
/// # Errors
/// Every mistake, up to a hundred.
pub fn parse(body: &[u8], is_lines: bool, now: UnixMillis) -> Result<Vec<Line>, Vec<Fault>> {
    if body.trim_ascii().is_empty() {
        return Err(vec![Fault::new("missing", vec![Step::Field("body")], "Field required")]);
    }
    let mut faults = Vec::new();
    let mut lines = Vec::new();
    match values(body, is_lines).map_err(|fault| vec![fault])? {
        Values::One(value) => lines.extend(line(&value, &[Step::Field("body")], now, &mut faults)),
        Values::Many(values) => {
            for (at, value) in values.iter().enumerate() {
                lines.extend(line(value, &[Step::Field("body"), Step::At(at)], now, &mut faults));
                if faults.len() >= MAX_FAULTS {
                    faults.truncate(MAX_FAULTS);
                    break;
                }
            }
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults) }
}

enum Values {
    One(Value),
    Many(Vec<Value>),
}

fn values(body: &[u8], is_lines: bool) -> Result<Values, Fault> {
    if is_lines {
        return lines_of(body).map(Values::Many);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Array(values)) if values.len() > MAX_LINES => Err(too_many()),
        Ok(Value::Array(values)) => Ok(Values::Many(values)),
        Ok(value) => Ok(Values::One(value)),
        // A whole value and something behind it: what lines look like.
        Err(_) if body.trim_ascii_start().starts_with(b"{") && has_value_on_first_line(body) => {
            lines_of(body).map(Values::Many)
        }
        Err(error) => Err(not_json(vec![Step::Field("body")], &error)),
    }
}

fn has_value_on_first_line(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or(body);
    line.len() < body.len() && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

fn lines_of(body: &[u8]) -> Result<Vec<Value>, Fault> {
    let texts = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|text| !text.is_empty());
    let mut values = Vec::new();
    for (at, text) in texts.enumerate() {
        if at >= MAX_LINES {
            return Err(too_many());
        }
        let value = serde_json::from_slice(text);
        values.push(value.map_err(|error| not_json(vec![Step::Field("body"), Step::At(at)], &error))?);
    }
    Ok(values)
}

fn too_many() -> Fault {
    Fault::new("too_long", vec![Step::Field("body")], format!("List should have at most {MAX_LINES} items"))
        .with(json!({ "field_type": "List", "max_length": MAX_LINES }))
}

/// `error` is told by its place alone: its text may quote what it could not read.
fn not_json(loc: Vec<Step>, error: &serde_json::Error) -> Fault {
    let place = format!("line {} column {}", error.line(), error.column());
    Fault::new("json_invalid", loc, "JSON decode error").with(json!({ "error": place }))
}

/// A line, if nothing is wrong with it.
fn line(value: &Value, loc: &[Step], now: UnixMillis, faults: &mut Vec<Fault>) -> Option<Line> {
    let Value::Object(fields) = value else {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        faults.push(Fault::new("model_attributes_type", loc.to_vec(), msg));
        return None;
    };
    let mut reader = Reader { fields, loc, faults };
    let run_id = reader.text("run_id", MAX_NAME);
    let level = reader.level();
    let message = reader.text("message", usize::MAX);
    let timestamp = reader.timestamp(now);
    let agent = match fields.get("agent") {
        None | Some(Value::Null) => Some(None),
        Some(_) => reader.text("agent", MAX_NAME).map(Some),
    };
    Some(Line { run_id: run_id?, level: level?, message: message?, timestamp: timestamp?, agent: agent? })
}

struct Reader<'a> {
    fields: &'a Map<String, Value>,
    loc: &'a [Step],
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn fault<T>(
        &mut self,
        kind: &'static str,
        name: &'static str,
        msg: &str,
        ctx: Option<Value>,
    ) -> Option<T> {
        let mut loc = self.loc.to_vec();
        loc.push(Step::Field(name));
        self.faults.push(Fault { ctx, ..Fault::new(kind, loc, msg) });
        None
    }

    fn text(&mut self, name: &'static str, max: usize) -> Option<String> {
        match self.fields.get(name) {
            None => self.fault("missing", name, "Field required", None),
            Some(Value::String(text)) if text.len() <= max => Some(text.clone()),
            Some(Value::String(_)) => {
                let msg = format!("String should have at most {max} characters");
                self.fault("string_too_long", name, &msg, Some(json!({ "max_length": max })))
            }
            Some(_) => self.fault("string_type", name, "Input should be a valid string", None),
        }
    }

    fn level(&mut self) -> Option<&'static str> {
        let Some(value) = self.fields.get("level") else {
            return self.fault("missing", "level", "Field required", None);
        };
        let known = LEVELS.iter().find(|level| value.as_str() == Some(level)).copied();
        let msg = format!("Input should be {EXPECTED}");
        known.or_else(|| self.fault("enum", "level", &msg, Some(json!({ "expected": EXPECTED }))))
    }

    /// Seconds of Unix time, or RFC 3339; `Some(None)`: it is not there.
    fn timestamp(&mut self, now: UnixMillis) -> Option<Option<UnixMillis>> {
        const NAME: &str = "timestamp";
        let at = match self.fields.get(NAME) {
            None => return Some(None),
            Some(Value::Number(number)) => number.as_f64().and_then(milliseconds),
            Some(Value::String(text)) => match date::parse(text).or_else(|| milliseconds(text.parse().ok()?))
            {
                Some(at) => Some(at),
                None => {
                    let msg = "Input should be a valid number (seconds of Unix time) or an RFC 3339 time";
                    return self.fault("float_parsing", NAME, msg, None);
                }
            },
            Some(_) => return self.fault("float_type", NAME, "Input should be a valid number", None),
        };
        let Some(at) = at else {
            let msg = "Input should be seconds of Unix time from 1970 to the year 9999";
            return self.fault("value_error", NAME, msg, None);
        };
        if at > now.0.saturating_add(AHEAD) {
            return self.fault("value_error", NAME, "Input should not be more than a day ahead", None);
        }
        Some(Some(UnixMillis(at)))
    }
}

/// Milliseconds of so many seconds; `None`: before 1970 or after what can be written.
fn milliseconds(seconds: f64) -> Option<u64> {
    let last = LAST_MILLISECOND as f64;
    let at = (seconds * 1000.0).round();
    // Neither cast loses anything: whole numbers of that size are exact.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies within 0 and `last`"
    )]
    (0.0..=last).contains(&at).then_some(at as u64)
}

#[cfg(test)]
mod tests;
