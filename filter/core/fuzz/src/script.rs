//! What happens to a stream, in words: one step a line.
//!
//! ```text
//! set shadow control          words of the configuration, on the first line alone
//! :path /api/chat             one more header
//! authorization Bearer $alice
//! $signed :method :path       a message signature over these and what must be covered
//! headers | headers end       they arrive, with a body to come or without
//! body {"model":              more of the body
//! body end                    its end; `body! text` is both
//! large 2000                  so many KiB of it, which are not looked at
//! trailers                    the headers so far arrive as trailers
//! tick | later 1500 | keys 2 | fails 0 | response | close | next
//! answer 200 {"fresh":true}   | answer none
//! ledger | ledger none        control says what there is of the limits, or nothing
//! status 200 text/event-stream  the answer begins; `status! 204 x` is all of it
//! chunk data: {}\n\n          more of its body; `chunk! text` is its end
//! ```

use super::world;

/// Header names and values.
pub(crate) type Pairs = Vec<(String, Vec<u8>)>;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Headers(Pairs, bool),
    Body(String, bool),
    Large(usize),
    Trailers(Pairs),
    Tick,
    Later(u64),
    Keys(usize),
    Fails(usize),
    Answer(Option<(u16, String)>),
    Response,
    Ledger(bool),
    /// Memory has what it was told, or has not.
    Remembered(bool),
    Status(u16, String, bool),
    Chunk(String, bool),
    Close,
    Next,
}

/// The most steps that are taken.
const MAX_STEPS: usize = 64;
/// The most bytes of text that a line may grow to.
const MAX_LINE: usize = 16 * 1024;

/// The words of the configuration, and what happens.
pub(crate) fn read(text: &str) -> (Vec<&str>, Vec<Step>) {
    let mut lines = text.lines().peekable();
    let words = match lines.next_if(|line| line.starts_with("set ")) {
        Some(line) => line.split(' ').skip(1).collect(),
        None => Vec::new(),
    };
    let mut steps = Vec::new();
    let mut pairs = Pairs::new();
    for line in lines.take(MAX_STEPS * 8) {
        if steps.len() == MAX_STEPS {
            break;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = |most: u64| rest.parse::<u64>().unwrap_or_default().min(most);
        steps.push(match word {
            "headers" => Step::Headers(core::mem::take(&mut pairs), rest == "end"),
            "trailers" => Step::Trailers(core::mem::take(&mut pairs)),
            "body" if rest == "end" => Step::Body(String::new(), true),
            "body" => Step::Body(expanded(rest), false),
            "body!" => Step::Body(expanded(rest), true),
            "large" => Step::Large(usize::try_from(number(4096)).unwrap_or_default() * 1024),
            "tick" => Step::Tick,
            "later" => Step::Later(number(400_000)),
            "keys" => Step::Keys(usize::try_from(number(9)).unwrap_or_default() % world::SOURCES),
            "fails" => Step::Fails(usize::try_from(number(9)).unwrap_or_default() % world::SOURCES),
            "answer" if rest == "none" => Step::Answer(None),
            "answer" => {
                let (status, body) = rest.split_once(' ').unwrap_or((rest, ""));
                Step::Answer(Some((status.parse().unwrap_or(200), expanded(body))))
            }
            "response" => Step::Response,
            "ledger" => Step::Ledger(rest != "none"),
            "remembered" => Step::Remembered(rest != "none"),
            "status" | "status!" => {
                let (status, kind) = rest.split_once(' ').unwrap_or((rest, ""));
                Step::Status(status.parse().unwrap_or(200), kind.to_owned(), word == "status!")
            }
            "chunk" | "chunk!" => Step::Chunk(expanded(rest).replace("\\n", "\n"), word == "chunk!"),
            "close" => Step::Close,
            "next" => Step::Next,
            "$signed" => {
                pairs.extend(signed(&pairs, rest));
                continue;
            }
            // What is no name is none for Envoy either.
            name if name.bytes().all(|b| b.is_ascii_graphic()) && !name.is_empty() && pairs.len() < 64 => {
                let value = expanded(rest);
                // Nor has Envoy a line break in a value.
                if !value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
                    pairs.push((name.to_ascii_lowercase(), value.into_bytes()));
                }
                continue;
            }
            _ => continue,
        });
    }
    (words, steps)
}

/// A text with what its `$name`s stand for.
pub(crate) fn expanded(text: &str) -> String {
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let value = match name {
            "exchanged" => world::exchanged(),
            "digest" => world::digest(world::BODY),
            "body" => world::BODY.to_owned(),
            name => match world::credentials().iter().find(|(have, _)| *have == name) {
                Some((_, value)) => value.clone(),
                None => format!("${name}"),
            },
        };
        if whole.len() + value.len() + rest.len() > MAX_LINE {
            break;
        }
        whole.push_str(&value);
        whole.push_str(rest);
    }
    whole
}

/// A good signature over the headers so far, with `more` among its parameters.
fn signed(pairs: &Pairs, more: &str) -> Pairs {
    let value = |name: &str| {
        let values: Vec<_> = pairs
            .iter()
            .filter(|(have, _)| have == name)
            .map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let path = value(":path").unwrap_or_default();
    let mut covered = vec![
        ("@method", value(":method").unwrap_or_default()),
        ("@authority", value(":authority").unwrap_or_default().to_ascii_lowercase()),
        ("@path", path.split('?').next().unwrap_or_default().to_owned()),
    ];
    for name in ["content-digest", "authorization", "signature-agent"] {
        covered.extend(value(name).map(|value| (name, value)));
    }
    let names: Vec<String> = covered.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let parameters = format!("({});created={};keyid=\"bot\"{more}", names.join(" "), world::NOW);
    let mut base = String::new();
    for (name, value) in &covered {
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = world::sign_message(&base);
    vec![
        ("signature-input".to_owned(), format!("s={parameters}").into_bytes()),
        ("signature".to_owned(), format!("s=:{signature}:").into_bytes()),
    ]
}

/// The header lines of a text, as [`read`] has them.
pub(crate) fn headers(text: &str) -> Pairs {
    let mut steps = read(&format!("{text}\nheaders end")).1.into_iter();
    let pairs = steps.find_map(|step| match step {
        Step::Headers(pairs, _) => Some(pairs),
        _ => None,
    });
    pairs.unwrap_or_default()
}
