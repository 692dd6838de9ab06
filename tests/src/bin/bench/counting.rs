//! How fast tokens are counted, by `filter/core/examples/count_speed.rs`: in node's V8 as in Envoy's, and
//! natively; beside it js-tiktoken, which is given the same texts and must come to the same numbers.

use std::path::Path;
use std::process::Command;

use crate::failure::{During as _, Failure};
use crate::measure::file;
use crate::vm::{node, output, run};

/// What is told of one text in one vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    /// The vocabulary.
    pub(crate) encoding: String,
    /// Which text.
    pub(crate) name: String,
    /// Megabytes per second.
    pub(crate) speed: f64,
    /// How many tokens it has.
    pub(crate) tokens: u64,
}

/// What one program told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// By vocabulary: the first count, in microseconds.
    pub(crate) first: Vec<(String, f64)>,
    /// By vocabulary: a kilobyte of English, in microseconds.
    pub(crate) kilobyte: Vec<(String, f64)>,
    /// Whole texts.
    pub(crate) texts: Vec<Text>,
}

/// What was found out.
pub(crate) struct Counting {
    /// In the VM.
    pub(crate) vm: Told,
    /// Natively.
    pub(crate) native: Told,
    /// js-tiktoken.
    pub(crate) peer: Told,
}

impl Told {
    /// What was told of a text.
    pub(crate) fn of(&self, text: &Text) -> Option<&Text> {
        self.texts.iter().find(|other| (&other.encoding, &other.name) == (&text.encoding, &text.name))
    }
}

/// Runs all three.
///
/// # Errors
/// When one is not there or fails, or when they do not come to the same numbers.
pub(crate) fn measure(folder: &Path) -> Result<Counting, Failure> {
    let (program, module, peer) = (file("COUNT_SPEED_BIN")?, file("COUNT_SPEED_WASM")?, file("TOKENIZER")?);
    let texts = folder.join("texts.json");
    eprintln!("counting tokens …");
    output(Command::new(&program).arg("texts").arg(&texts))?;
    let counting = Counting {
        vm: read("in the VM", &run(&module, folder)?)?,
        native: read("natively", &output(&mut Command::new(&program))?)?,
        peer: read("by js-tiktoken", &output(node()?.arg(&peer).arg(&texts))?)?,
    };
    std::fs::remove_file(&texts).during(texts.display())?;
    for text in counting.native.texts.iter().chain(&counting.peer.texts) {
        let ours = counting.vm.of(text).map(|ours| ours.tokens);
        if ours != Some(text.tokens) {
            let (name, encoding, tokens) = (&text.name, &text.encoding, text.tokens);
            return Err(Failure(format!("{name} has {tokens} tokens of {encoding}, and in the VM {ours:?}")));
        }
    }
    Ok(counting)
}

fn read(what: &str, text: &str) -> Result<Told, Failure> {
    let mut told = Told::default();
    for line in text.lines() {
        if let Some((encoding, micros)) = between(line, " first use ", " µs") {
            told.first.push((encoding, micros));
        } else if let Some((encoding, micros)) = between(line, " 1 KB ", " µs") {
            told.kilobyte.push((encoding, micros));
        } else if let Some(text) = parse(line) {
            told.texts.push(text);
        }
    }
    match told.texts.is_empty() {
        true => Err(Failure(format!("counting {what} gave no result: {}", text.trim()))),
        false => Ok(told),
    }
}

/// What stands before a mark, and the number behind it.
fn between(line: &str, mark: &str, unit: &str) -> Option<(String, f64)> {
    let (name, rest) = line.split_once(mark)?;
    let number = rest.split_once(unit)?.0.trim().parse().ok()?;
    Some((name.trim().to_owned(), number))
}

/// A line such as `cl100k_base  code   41.2 MB/s whole, …, 250000 tokens`.
fn parse(line: &str) -> Option<Text> {
    let (before, after) = line.split_once(" MB/s whole")?;
    let (encoding, rest) = before.trim().split_once(' ')?;
    let (name, speed) = rest.trim().rsplit_once(' ')?;
    let tokens = after.strip_suffix(" tokens")?.rsplit_once(' ')?.1;
    Some(Text {
        encoding: encoding.to_owned(),
        name: name.trim().to_owned(),
        speed: speed.parse().ok()?,
        tokens: tokens.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_programs_write_is_read() {
        let told = read(
            "in a test",
            "cl100k_base  first use      812 µs\ncl100k_base  1 KB      21.50 µs\n\
             cl100k_base  random words      41.2 MB/s whole,     40.0 in 16 KiB, 2500 tokens\n",
        )
        .unwrap();
        assert_eq!(told.first, [("cl100k_base".to_owned(), 812.0)]);
        assert_eq!(told.kilobyte, [("cl100k_base".to_owned(), 21.5)]);
        let text = &told.texts[0];
        assert_eq!((text.name.as_str(), text.speed, text.tokens), ("random words", 41.2, 2_500));
        assert!(read("in a test", "thread panicked").is_err());
    }
}
