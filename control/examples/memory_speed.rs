//! How fast control's own memory is: `cargo run --release -p attach-control --example memory_speed [EVENTS]`.
//!
//! Puts events of about 600 bytes (EVENTS of one owner, 1,000,000 if it is not said, and a fifth of that of others)
//! into a database in a temporary folder, in batches of 100, and then searches and lists the one owner's. Texts are
//! made of words as often as they are in a language (Zipf), the same at every run.

// What goes wrong here is for a developer to see.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use attach_control::memory::embedded::Embedded;
use attach_control::memory::{Backend, Page, Reach, Record};
use attach_core::clock::UnixMillis;
use attach_core::mirror::{MemoryEvent, Object};

const VOCABULARY: usize = 60_000;
const BATCH: usize = 100;
/// How many batches are on their way at once.
const AT_ONCE: usize = 4;

/// Words by how often they stand in texts.
struct Language {
    words: Vec<String>,
    sums: Vec<f64>,
    random: u64,
}

impl Language {
    fn new() -> Self {
        let mut sum = 0.0;
        let sums = (0..VOCABULARY).map(|rank| {
            sum += 1.0 / (rank as f64 + 2.7);
            sum
        });
        let syllables = ["ka", "lo", "mi", "re", "tu", "sen", "vor", "dal", "pi", "gra", "ne", "ost"];
        let word = |rank: usize| {
            // Mixed, so that frequent words do not look alike; frequent ones are shorter.
            let mut n = rank;
            let mut word = String::new();
            while word.is_empty() || n > 0 {
                word.push_str(syllables[n % syllables.len()]);
                n /= syllables.len();
            }
            word
        };
        Self {
            sums: sums.collect(),
            words: (0..VOCABULARY).map(word).collect(),
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// About 600 bytes.
    fn text(&mut self) -> String {
        let length = 300 + (self.random() % 600) as usize;
        let mut text = String::with_capacity(length + 20);
        while text.len() < length {
            let at = (self.random() >> 11) as f64 / (1_u64 << 53) as f64 * self.sums[VOCABULARY - 1];
            text.push_str(&self.words[self.sums.partition_point(|sum| *sum < at)]);
            text.push(' ');
        }
        text
    }
}

fn record(key: u64, owner: &str, content: String) -> Record {
    let event = MemoryEvent {
        timestamp: UnixMillis(1_700_000_000_000 + key * 10),
        event: "prompt".to_owned(),
        session_id: format!("{:064x}", key / 40),
        user: owner.to_owned(),
        owner: owner.to_owned(),
        role: "user".to_owned(),
        model: "llama3".to_owned(),
        tokens: 120,
        request_id: format!("r-{key}"),
        state: "done".to_owned(),
        content,
        ..MemoryEvent::default()
    };
    Record { object: Object::new(&format!("r-{key}"), event, false), vector: None }
}

async fn timed(name: &str, backend: &Backend, queries: Vec<String>, owner: &str) {
    let mut times: Vec<Duration> = Vec::new();
    let mut found = 0;
    for query in queries {
        let begun = Instant::now();
        found += backend.search(Reach::Owner(owner.to_owned()), query, None, 10).await.unwrap().len();
        times.push(begun.elapsed());
    }
    report(name, times, found);
}

fn report(name: &str, mut times: Vec<Duration>, found: usize) {
    times.sort_unstable();
    let at =
        |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!("{name}: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms, found {found}", at(50), at(99), at(100));
}

#[tokio::main]
async fn main() {
    let one = std::env::args().nth(1).map_or(1_000_000, |events| events.parse::<u64>().unwrap());
    let all = one + one / 5;
    let folder = std::env::temp_dir().join(format!("attach-memory-speed-{}", std::process::id()));
    let path = folder.join("memory.db");
    let backend = Backend::Embedded(Embedded::open(&path).unwrap());
    let mut language = Language::new();
    let (mut waiting, mut putting, mut bytes) = (Vec::new(), tokio::task::JoinSet::<bool>::new(), 0);
    let mut spent = Duration::ZERO;
    for key in 0..all {
        let owner = if key % 6 == 5 { format!("other-{}", key % 100) } else { "one".to_owned() };
        let text = language.text();
        bytes += text.len();
        waiting.push(record(key, &owner, text));
        if waiting.len() == BATCH * 100 || key + 1 == all {
            let begun = Instant::now();
            let mut rest = std::mem::take(&mut waiting).into_iter();
            loop {
                let batch: Vec<Record> = rest.by_ref().take(BATCH).collect();
                if batch.is_empty() {
                    break;
                }
                if putting.len() == AT_ONCE {
                    assert!(putting.join_next().await.unwrap().unwrap());
                }
                let backend = backend.clone();
                putting.spawn(async move { backend.put(batch).await.unwrap().is_empty() });
            }
            while let Some(done) = putting.join_next().await {
                assert!(done.unwrap());
            }
            spent += begun.elapsed();
            if (key + 1) % 100_000 == 0 {
                println!("{} put, {:.0} events/s so far", key + 1, (key + 1) as f64 / spent.as_secs_f64());
            }
        }
    }
    println!(
        "{all} events of {} bytes: {:.0} events/s, {:.0} MB in the file",
        bytes / all as usize,
        all as f64 / spent.as_secs_f64(),
        std::fs::metadata(&path).unwrap().len() as f64 / 1e6
    );
    // A text has about 75 words: word of rank r stands in about 75 / (r + 2.7) / ln(60,000) of them.
    let word = |rank: usize| language.words[rank].clone();
    let rare = |n: usize| word(700 + n * 13);
    timed("one word in at most 1 %", &backend, (0..100).map(rare).collect(), "one").await;
    let two = (0..100).map(|n| format!("{} {}", rare(n), rare(n + 1))).collect();
    timed("two words in at most 1 %", &backend, two, "one").await;
    let four = (0..100).map(|n| (n..n + 4).map(|n| rare(n) + " ").collect()).collect();
    timed("four words in at most 1 %", &backend, four, "one").await;
    timed("a word in every text", &backend, (0..100).map(|n| word(n % 5)).collect(), "one").await;
    let sentence = (0..100).map(|n| (0..20).map(|k| word(n + k * k * 7) + " ").collect()).collect();
    timed("a sentence of twenty words", &backend, sentence, "one").await;
    timed("another's, frequent words", &backend, (0..100).map(|n| word(n % 20)).collect(), "other-5").await;
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..100 {
        let begun = Instant::now();
        let page = Page { limit: 10, before: None, session: None };
        found += backend.list(Reach::Owner("one".to_owned()), page).await.unwrap().len();
        times.push(begun.elapsed());
    }
    report("the newest ten", times, found);
    std::fs::remove_dir_all(folder).unwrap();
}
