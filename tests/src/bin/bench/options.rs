//! What to measure, and how long.

use std::time::Duration;

use crate::failure::Failure;
use crate::rows::{Method, ROWS, Row};

/// What `--help` says.
pub(crate) const HELP: &str = "\
usage: make bench [BENCH_ARGS='…']

  --requests N   about so many requests per row, over all rounds (default 150000)
  --rounds N     how often all rows are driven in turn (default 9)
  --tokens N     how many distinct tokens the row memory sends (default 1000000)
  --uses N       how many signatures the row replay-memory sends (default 300000, at most 600000)
  --calls N      how many model calls the row vm-memory makes (default 200000; `make soak`: 1000000)
  --users N      of how many users those are (default 100000)
  --events N     how many events the rows outbox and weaviate tell (default 50000)
  --remembered N how many events the row memory-search searches (default 1000000)
  --rows A,B     only these rows: bare, native, native-verify, noop, attach, attach-plain (no assertions);
                 seen before: did-key, did-pkh, hmac, gateway; every one new: native-new, native-es256-new,
                 native-es384-new, attach-new, attach-plain-new, attach-new-users, rs384-new, rs512-new,
                 es256-new, es384-new, ps256-new, eddsa-new, did-pkh-new, hmac-new; every request signed:
                 rotagent, httpsig, httpsig-digest; refused: native-401, attach-401; model calls whose tokens
                 are reserved, settled and metered: bare-silent (no access log), chat (OIDC alone), chat-all
                 (every scheme, assertions), chat-counted (every prompt counted); and, which are no requests
                 by wrk: vm-speed (signatures in node's V8), count-speed (tokens in node's V8), sse (streams
                 of 50 chunks), memory, replay-memory, vm-memory, stream-memory (200 open streams), and
                 up-again, the time to ready of a second `attach up`; of what is said, and remembered: mirror
                 (calls at 1000 a second with and without memory), redact (redaction alone), outbox (events
                 into control's outbox), weaviate (out of it into a real Weaviate), memory-search (in control's
                 own store), outage30 (a whole gateway whose Weaviate is killed for 30 s)
  --methods A,B  only these: get, post
  --quick        a first look, some 13 minutes: --requests 45000 --rounds 3 --tokens 100000 --uses 30000
                 --calls 40000 --events 10000 --remembered 100000

All of it takes some 35 minutes on two idle processors. The rows weaviate and outage30 need a real Weaviate, which
`make test-setup` builds, and are left out without one. To shorten it, take fewer rounds, one method, or name
rows; what a row is compared with (bare, attach, native-new, attach-new, eddsa-new) must be among them.

Environment: ATTACH_BIN, ATTACH_WASM, NOOP_WASM, VM_SPEED_WASM, COUNT_SPEED_WASM, COUNT_SPEED_BIN,
TOKENIZER, REDACT_SPEED_WASM, REDACT_SPEED_BIN, MEMORY_SPEED_BIN, ATTACH_TEST_WEAVIATE (set by the Makefile); ENVOY_BIN as for `make envoy-up`.";

/// The rows that are no rows of requests by wrk.
const OTHERS: [&str; 14] = [
    START,
    VM_SPEED,
    COUNT_SPEED,
    SSE,
    MEMORY,
    REPLAY_MEMORY,
    VM_MEMORY,
    STREAM_MEMORY,
    MIRROR,
    REDACT,
    OUTBOX,
    WEAVIATE,
    MEMORY_SEARCH,
    OUTAGE,
];
const MIRROR: &str = "mirror";
const REDACT: &str = "redact";
const OUTBOX: &str = "outbox";
const WEAVIATE: &str = "weaviate";
const MEMORY_SEARCH: &str = "memory-search";
const OUTAGE: &str = "outage30";
const START: &str = "up-again";
const VM_SPEED: &str = "vm-speed";
const COUNT_SPEED: &str = "count-speed";
const SSE: &str = "sse";
const VM_MEMORY: &str = "vm-memory";
const STREAM_MEMORY: &str = "stream-memory";
const MEMORY: &str = "memory";
const REPLAY_MEMORY: &str = "replay-memory";
/// More, and some bucket of the replay table might be full, which is an answer of 503.
const MAX_USES: u64 = 600_000;

/// The longest that a row is driven in one round, in seconds: the dear ones need not so many requests.
const LONGEST: f64 = 3.0;

/// As given.
#[derive(Debug)]
pub(crate) struct Options {
    /// Per row, over all rounds.
    pub(crate) requests: u64,
    /// How often all rows are driven.
    pub(crate) rounds: usize,
    tokens: u64,
    uses: u64,
    calls: u64,
    users: u64,
    events: u64,
    remembered: u64,
    rows: Option<Vec<String>>,
    methods: Vec<Method>,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// For whatever [`HELP`] does not name.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            requests: 150_000,
            rounds: 9,
            tokens: 1_000_000,
            uses: 300_000,
            calls: 200_000,
            users: 100_000,
            events: 50_000,
            remembered: 1_000_000,
            rows: None,
            methods: vec![Method::Get, Method::Post],
        };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let mut value =
                || arguments.next().ok_or_else(|| Failure(format!("{flag} needs a value; see --help")));
            match flag.as_str() {
                "--quick" => {
                    (options.requests, options.rounds) = (45_000, 3);
                    (options.tokens, options.uses, options.calls) = (100_000, 30_000, 40_000);
                    (options.events, options.remembered) = (10_000, 100_000);
                }
                "--tokens" => options.tokens = number(flag, value()?)?,
                "--uses" => options.uses = number(flag, value()?)?.min(MAX_USES),
                "--calls" => options.calls = number(flag, value()?)?,
                "--users" => options.users = number(flag, value()?)?,
                "--events" => options.events = number(flag, value()?)?,
                "--remembered" => options.remembered = number(flag, value()?)?,
                "--requests" => options.requests = number(flag, value()?)?,
                "--rounds" => {
                    options.rounds = usize::try_from(number(flag, value()?)?).unwrap_or(usize::MAX);
                }
                "--rows" => options.rows = Some(rows(value()?)?),
                "--methods" => {
                    options.methods = value()?.split(',').map(Method::parse).collect::<Result<_, _>>()?;
                }
                other => return Err(Failure(format!("{other} is not an option; see --help"))),
            }
        }
        Ok(options)
    }

    /// Whether some row of requests is wanted.
    pub(crate) fn measures_requests(&self) -> bool {
        !self.cases().is_empty()
    }

    /// Whether what signatures cost in a VM is wanted.
    pub(crate) fn measures_vm(&self) -> bool {
        self.wants(VM_SPEED)
    }

    /// How many tokens are sent to see whether memory grows, if that is wanted.
    pub(crate) fn tokens(&self) -> Option<u64> {
        self.wants(MEMORY).then_some(self.tokens)
    }

    /// How many signatures are sent for the same, if that is wanted.
    pub(crate) fn uses(&self) -> Option<u64> {
        self.wants(REPLAY_MEMORY).then_some(self.uses)
    }

    /// How many model calls are made for the same, and of how many users, if that is wanted.
    pub(crate) fn calls(&self) -> Option<(u64, u64)> {
        self.wants(VM_MEMORY).then_some((self.calls, self.users))
    }

    /// Whether what counting costs in a VM is wanted.
    pub(crate) fn measures_counting(&self) -> bool {
        self.wants(COUNT_SPEED)
    }

    /// Whether what a stream costs is wanted.
    pub(crate) fn measures_streams(&self) -> bool {
        self.wants(SSE)
    }

    /// Whether what an open stream takes of memory is wanted.
    pub(crate) fn measures_open_streams(&self) -> bool {
        self.wants(STREAM_MEMORY)
    }

    /// Whether what remembering costs a call is wanted.
    pub(crate) fn measures_mirror(&self) -> bool {
        self.wants(MIRROR)
    }

    /// Whether the speed of redaction is wanted.
    pub(crate) fn measures_redaction(&self) -> bool {
        self.wants(REDACT)
    }

    /// How many events control's outbox is told of, if that is wanted.
    pub(crate) fn outbox(&self) -> Option<u64> {
        self.wants(OUTBOX).then_some(self.events)
    }

    /// How many events a real Weaviate is told of, if that is wanted.
    pub(crate) fn weaviate(&self) -> Option<u64> {
        self.wants(WEAVIATE).then_some(self.events)
    }

    /// How many events are searched, if that is wanted.
    pub(crate) fn search(&self) -> Option<u64> {
        self.wants(MEMORY_SEARCH).then_some(self.remembered)
    }

    /// Whether it is wanted that Weaviate be killed under load.
    pub(crate) fn measures_outage(&self) -> bool {
        self.wants(OUTAGE)
    }

    /// Whether the time to ready is wanted.
    pub(crate) fn measures_start(&self) -> bool {
        self.wants(START)
    }

    /// The rows of requests that are wanted, by method.
    pub(crate) fn cases(&self) -> Vec<(&'static Row, Method)> {
        let of = |method: &Method| {
            let method = *method;
            let wanted = move |row: &&Row| self.wants(row.name) && row.methods.contains(&method);
            ROWS.iter().filter(wanted).map(move |row| (row, method))
        };
        self.methods.iter().flat_map(of).collect()
    }

    fn wants(&self, name: &str) -> bool {
        self.rows.as_ref().is_none_or(|rows| rows.iter().any(|row| row == name))
    }

    /// How long a row is driven in one round, in the whole seconds that wrk knows. Many short rounds are
    /// better than few long ones: what is compared then lies closer together in time.
    pub(crate) fn seconds(&self, requests_per_second: f64) -> Duration {
        let requests = self.requests as f64 / self.rounds as f64;
        Duration::from_secs_f64((requests / requests_per_second.max(1.0)).round().clamp(1.0, LONGEST))
    }
}

fn number(flag: &str, text: &str) -> Result<u64, Failure> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Failure(format!("{flag} needs a whole number above 0, not {text}")))
}

fn rows(list: &str) -> Result<Vec<String>, Failure> {
    let known = |name: &str| OTHERS.contains(&name) || ROWS.iter().any(|row| row.name == name);
    match list.split(',').find(|name| !known(name)) {
        Some(unknown) => Err(Failure(format!("{unknown} is no row; see --help"))),
        None => Ok(list.split(',').map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&arguments).map_err(|failure| failure.to_string())
    }

    #[test]
    fn without_arguments_everything_is_measured() {
        let options = parse("").unwrap();
        assert_eq!(options.cases().len(), ROWS.iter().map(|row| row.methods.len()).sum::<usize>());
        assert!(options.measures_start() && options.measures_vm());
        assert_eq!((options.tokens(), options.uses()), (Some(1_000_000), Some(300_000)));
        assert_eq!(options.calls(), Some((200_000, 100_000)));
        assert!(options.measures_counting() && options.measures_streams() && options.measures_open_streams());
        assert!(options.measures_mirror() && options.measures_redaction() && options.measures_outage());
        assert_eq!((options.outbox(), options.weaviate()), (Some(50_000), Some(50_000)));
        assert_eq!(options.search(), Some(1_000_000));
    }

    #[test]
    fn rows_and_methods_narrow_what_is_measured() {
        let options = parse("--rows bare,attach --methods post").unwrap();
        let names: Vec<&str> = options.cases().iter().map(|(row, _)| row.name).collect();
        assert_eq!(names, ["bare", "attach"]);
        assert!(!options.measures_start());
        let options = parse("--rows up-again,memory --tokens 5").unwrap();
        assert!(!options.measures_requests());
        assert_eq!((options.tokens(), options.uses()), (Some(5), None));
        let options = parse("--quick --rows outbox,memory-search --events 7").unwrap();
        assert_eq!((options.outbox(), options.weaviate(), options.search()), (Some(7), None, Some(100_000)));
        assert!(!options.measures_mirror() && !options.measures_outage());
    }

    #[test]
    fn every_row_is_in_the_help() {
        for name in ROWS.iter().map(|row| row.name).chain(OTHERS) {
            let listed = HELP.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            assert!(listed.into_iter().any(|word| word == name), "{name}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (line, named) in [
            ("--row bare", "--row "),
            ("--rows bar", "bar is"),
            ("--rounds 0", "--rounds"),
            ("--requests x", "not x"),
            ("--methods put", "put is"),
            ("--rows", "--rows needs"),
        ] {
            let failure = parse(line).unwrap_err();
            assert!(failure.contains(named), "{line}: {failure}");
        }
    }

    #[test]
    fn a_round_takes_whole_seconds_and_at_least_one() {
        let options = parse("--requests 100000 --rounds 5").unwrap();
        assert_eq!(options.seconds(8_000.0), Duration::from_secs(3));
        assert_eq!(options.seconds(16_000.0), Duration::from_secs(1));
        assert_eq!(options.seconds(1e9), Duration::from_secs(1));
        assert_eq!(options.seconds(0.0), Duration::from_secs(3));
    }
}
